//! The world: instances, the network between them, the one clock, and the next step of all that could happen next.
//!
//! Invariant: whatever happens is drawn from the seed. Futures are polled here, one at a time, and wait for nothing but the
//! network, the writers that are stepped here, and the world's clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use fedsx_core::address::Origin;
use fedsx_core::canonical::document_bytes;
use fedsx_core::cid::Digest;
use fedsx_core::notation::{self, Notation};
use fedsx_core::refusal::Refusal;
use fedsx_deliver::attempt::{self, attempt};
use fedsx_deliver::fanout::{ExpandError, Expander};
use fedsx_deliver::outbound::Outbound;
use fedsx_deliver::{DeliveryOptions, OverNode};
use fedsx_discovery::client::{Request, TransportError};
use fedsx_node::{FailedToSay, InboxPost, Published, Receipt, RequestParts, Status};
use fedsx_store::delivery::Place;
use fedsx_store::simulation::Dice;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Method;
use tokio::sync::oneshot;

use crate::acts::{Act, Audience, Person};
use crate::instance::{Crash, Instance};
use crate::network::{Answered, Outgoing, forged, response};
use crate::served::served;

/// When the world begins, Unix milliseconds.
const BEGIN_MS: i64 = 1_767_225_600_000;
/// How long it is troubled, milliseconds.
pub(crate) const TROUBLED_MS: usize = 15 * 60_000;
/// How long who asks waits for an answer, milliseconds.
const TIMEOUT_MS: i64 = 10_000;
/// How far a clock may be off, milliseconds.
const SKEW_MS: usize = 20 * 60_000;
/// Steps in which a healed world must come to rest.
const STEPS_MAX: usize = 200_000;
/// The lines of a trace that are kept for who looks at a failure.
const LINES: usize = 120;

/// What may happen on the network, in per cent of messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    lost: usize,
    doubled: usize,
    forged: usize,
    delay_ms: usize,
}

enum Event {
    Arrive {
        exchange: Option<u64>,
        from: usize,
        to: usize,
        request: Request,
    },
    Answer(u64, Answered),
    TimeOut(u64),
    Wake(oneshot::Sender<()>),
    Act,
    Trouble,
    Heal(usize, usize),
    Start(usize),
    Tend(usize),
    SayAgain(usize),
}

/// What a task came to.
enum Done {
    Received(Option<u64>, String, Result<Receipt, Refusal>),
    Expanded(Expander<OverNode>, Result<Vec<Place>, ExpandError>),
    Tried(attempt::Done),
    Said(FailedToSay, bool),
    Erased,
    Acted(Act, Result<Published, Refusal>),
}

struct Task {
    on: usize,
    future: BoxFuture<'static, Done>,
    flag: Arc<Flag>,
}

/// Whether a task was woken.
#[derive(Debug)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Something that could happen now.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize),
    Expand(usize),
    Send(usize),
    Say(usize),
    Poll(u64),
    Happen,
}

/// What was answered to whom, to be held against what is kept.
#[derive(Default)]
pub(crate) struct Record {
    /// By instance: the digest, the offset and the person.
    pub(crate) published: Vec<(usize, Digest, u64, usize)>,
    /// Whom somebody named.
    pub(crate) addressed: BTreeMap<Digest, Vec<String>>,
    /// What an instance has taken from others.
    pub(crate) accepted: BTreeSet<(usize, Digest)>,
    /// What was sent: by whom, to which instance.
    pub(crate) sent: BTreeSet<(usize, usize, Digest)>,
    pub(crate) crashes: usize,
    pub(crate) forged: usize,
    pub(crate) steps: usize,
}

/// What happened, as a hash of all and the last lines.
#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    pub(crate) lines: VecDeque<String>,
    is_told: bool,
}

impl Trace {
    fn note(&mut self, line: String) {
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.is_told {
            tell(&line);
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[expect(clippy::print_stderr, reason = "a replay is read by a person")]
fn tell(line: &str) {
    eprintln!("{line}");
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    now_ms: i64,
    pub(crate) instances: Vec<Instance>,
    pub(crate) people: Vec<Person>,
    events: BTreeMap<(i64, u64), Event>,
    tasks: BTreeMap<u64, Task>,
    exchanges: BTreeMap<u64, oneshot::Sender<Answered>>,
    /// Counts tasks, events and exchanges.
    number: u64,
    weather: Weather,
    parted: BTreeSet<(usize, usize)>,
    is_healed: bool,
    marks_apart: bool,
    keys_left: BTreeSet<(usize, u32)>,
    pub(crate) record: Record,
    pub(crate) trace: Trace,
}

impl World {
    /// A world of some instances with some people on each. With `marks_apart` their writers have the deliberate fault.
    pub(crate) fn new(seed: u64, marks_apart: bool, is_told: bool) -> Self {
        let mut dice = Dice::new(seed);
        let size = 2 + dice.below(4);
        let is_impatient = dice.below(2) == 0;
        let mut instances = Vec::new();
        let mut people = Vec::new();
        for index in 0..size {
            let skew_ms = skew(&mut dice);
            // In some worlds whoever is away a while is given up on until it shows itself.
            let options = DeliveryOptions::default();
            let options = match is_impatient {
                true => DeliveryOptions {
                    dormant_after_ms: 60_000,
                    probe_ms: 120_000,
                    ..options
                },
                false => options,
            };
            instances.push(Instance::new(index, skew_ms, options));
            for nth in 0..1 + dice.below(3) {
                people.push(Person::new(index, nth, dice.below(4) == 0));
            }
        }
        let weather = Weather {
            lost: dice.below(12),
            doubled: dice.below(25),
            forged: dice.below(6),
            delay_ms: 10 << dice.below(9),
        };
        let mut world = Self {
            dice,
            now_ms: BEGIN_MS,
            instances,
            people,
            events: BTreeMap::new(),
            tasks: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            number: 0,
            weather,
            parted: BTreeSet::new(),
            is_healed: false,
            marks_apart,
            keys_left: BTreeSet::new(),
            record: Record::default(),
            trace: Trace {
                is_told,
                ..Trace::default()
            },
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for index in 0..self.instances.len() {
            self.start(index);
            self.after(0, Event::Tend(index));
        }
        for person in 0..self.people.len() {
            self.act(person, Act::Create);
        }
        // Some come and begin at once, so that there is somebody to tell things to.
        for within in [TROUBLED_MS / 20, TROUBLED_MS] {
            for _ in 0..10 + self.dice.below(40) {
                let at = 100 + self.dice.below(within);
                self.after(at, Event::Act);
            }
        }
        for _ in 0..self.dice.below(16) {
            let at = self.dice.below(TROUBLED_MS);
            self.after(at, Event::Trouble);
        }
    }

    /// Lets the trouble come and pass, heals everything, and waits until nothing is left to do.
    ///
    /// # Errors
    /// What went wrong on the way.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let end_ms = self.now_ms + i64::try_from(TROUBLED_MS).expect("minutes");
        while self.now_ms < end_ms && self.step()? {}
        self.heal();
        for _ in 0..STEPS_MAX {
            if !self.step()? {
                return self.rest();
            }
        }
        Err("it never comes to rest".to_owned())
    }

    /// The hash of all that happened.
    pub(crate) const fn hash(&self) -> u64 {
        self.trace.hash
    }

    /// One of the things that could happen now, or else the next in time; `false` when there is nothing.
    fn step(&mut self) -> Result<bool, String> {
        let mut ready = self.ready();
        if ready.is_empty() {
            let Some(next_ms) = self.next_ms() else {
                return Ok(false);
            };
            self.set_time(next_ms.max(self.now_ms));
            ready = self.ready();
        }
        if ready.is_empty() {
            // A timer that was nobody's any more.
            return Ok(true);
        }
        self.record.steps += 1;
        let step = ready[self.dice.below(ready.len())];
        match step {
            Step::Write(on) => self.write(on),
            Step::Expand(on) => self.expand(on),
            Step::Send(on) => self.send(on),
            Step::Say(on) => self.say(on),
            Step::Poll(task) => return self.poll(task).map(|()| true),
            Step::Happen => return self.happen().map(|()| true),
        }
        Ok(true)
    }

    fn ready(&self) -> Vec<Step> {
        let mut ready = Vec::new();
        for instance in &self.instances {
            let on = instance.index;
            let Some(running) = &instance.running else {
                continue;
            };
            if running.stepper.is_waiting() {
                ready.push(Step::Write(on));
            }
            // The scheduler asks for what a host missed when its turn comes.
            let is_due = running.due.expand || running.deliveries.is_wanted();
            if is_due && running.expander.is_some() {
                ready.push(Step::Expand(on));
            }
            let timer = running.scheduler.next_timer();
            if running.due.send || timer.is_some_and(|at_ms| at_ms <= instance.now_ms()) {
                ready.push(Step::Send(on));
            }
            if running.due.say && running.failed.is_some() {
                ready.push(Step::Say(on));
            }
        }
        let woken = |task: &&Task| task.flag.0.load(Ordering::Relaxed);
        ready.extend(
            self.tasks
                .iter()
                .filter(|(_, task)| woken(task))
                .map(|(no, _)| Step::Poll(*no)),
        );
        let first = self.events.first_key_value();
        if first.is_some_and(|((at_ms, _), _)| *at_ms <= self.now_ms) {
            ready.push(Step::Happen);
        }
        ready
    }

    fn next_ms(&self) -> Option<i64> {
        let timers = self.instances.iter().filter_map(|instance| {
            let timer = instance.running.as_ref()?.scheduler.next_timer()?;
            Some(timer - instance.skew_ms)
        });
        let event = self.events.first_key_value().map(|((at_ms, _), _)| *at_ms);
        timers.chain(event).min()
    }

    fn set_time(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        for instance in &self.instances {
            instance.set_time(now_ms);
        }
    }

    fn write(&mut self, on: usize) {
        let running = self.instances[on].up();
        match running.stepper.write() {
            Ok(()) => {
                running.committed();
                let applied = running.node.view().applied();
                self.trace
                    .note(format!("{} i{on} wrote through {applied}", self.now_ms));
            }
            Err(error) => {
                self.trace
                    .note(format!("{} i{on} can't write: {error}", self.now_ms));
                self.crash(on, Crash::PowerLost);
            }
        }
    }

    fn expand(&mut self, on: usize) {
        let running = self.instances[on].up();
        running.due.expand = false;
        let Some(mut expander) = running.expander.take() else {
            return;
        };
        if expander.is_idle().expect("memory reads") && !running.deliveries.is_wanted() {
            running.expander = Some(expander);
            return;
        }
        let outbound = Arc::clone(&running.outbound);
        let expanded = async move {
            let places = async {
                let mut places = Vec::new();
                if let Some(mut chunk) = expander.gather()? {
                    if let Some((digest, actors)) = chunk.local.take() {
                        outbound.place(digest, actors).await?;
                    }
                    places.extend(expander.commit(chunk)?);
                }
                if let Some(found) = expander.find_again()? {
                    places.extend(expander.queue_again(found)?);
                }
                Ok(places)
            };
            let places = places.await;
            Done::Expanded(expander, places)
        };
        self.spawn(on, expanded.boxed());
    }

    fn send(&mut self, on: usize) {
        let instance = &mut self.instances[on];
        let now_ms = instance.now_ms();
        let running = instance.up();
        let Some(tried) = running.scheduler.next(now_ms).expect("memory reads") else {
            running.due.send = false;
            return;
        };
        let place = &tried.placed.place;
        self.trace.note(format!(
            "{} i{on} sends entry {} of actor {} to {}",
            self.now_ms, place.offset, place.actor.0, place.host
        ));
        let outbound = Arc::clone(&running.outbound);
        let trying = async move { Done::Tried(attempt(&*outbound, tried).await) };
        self.spawn(on, trying.boxed());
    }

    fn say(&mut self, on: usize) {
        let running = self.instances[on].up();
        running.due.say = false;
        let Some(mut failed) = running.failed.take() else {
            return;
        };
        let node = running.node.clone();
        let saying = async move {
            let is_more = node.say_owed(&mut failed).await;
            Done::Said(failed, is_more)
        };
        self.spawn(on, saying.boxed());
    }

    fn spawn(&mut self, on: usize, future: BoxFuture<'static, Done>) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let no = self.count();
        self.tasks.insert(no, Task { on, future, flag });
    }

    const fn count(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn after(&mut self, wait_ms: usize, event: Event) {
        let at_ms = self.now_ms + i64::try_from(wait_ms).expect("not long");
        let no = self.count();
        self.events.insert((at_ms, no), event);
    }

    fn poll(&mut self, no: u64) -> Result<(), String> {
        let task = self.tasks.get_mut(&no).expect("a task that was ready");
        let on = task.on;
        task.flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.flag));
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        let outcome = match polled {
            Poll::Pending => Ok(()),
            Poll::Ready(done) => {
                self.tasks.remove(&no);
                self.done(on, done)
            }
        };
        self.take_up(on);
        outcome
    }

    /// What an instance asks of the world.
    fn take_up(&mut self, on: usize) {
        let instance = &mut self.instances[on];
        let now_ms = instance.now_ms();
        let Some(running) = &mut instance.running else {
            return;
        };
        let take = |list: &std::sync::Mutex<Vec<String>>| {
            std::mem::take(&mut *list.lock().expect("one thread"))
        };
        for host in take(&running.ports.contacts) {
            running
                .scheduler
                .wake(&host, now_ms)
                .expect("memory takes all");
            running.due.send = true;
            running.due.expand = true;
        }
        let outgoing = std::mem::take(&mut *running.ports.outgoing.lock().expect("one thread"));
        let waiting = std::mem::take(&mut *running.ports.waiting.lock().expect("one thread"));
        for (time, wake) in waiting {
            let wait_ms = usize::try_from(time.as_millis()).expect("not long");
            self.after(wait_ms, Event::Wake(wake));
        }
        for one in outgoing {
            self.carry(one);
        }
    }

    /// A request on the network.
    fn carry(&mut self, outgoing: Outgoing) {
        let Outgoing {
            from,
            request,
            reply,
        } = outgoing;
        let exchange = self.count();
        self.exchanges.insert(exchange, reply);
        self.after(
            usize::try_from(TIMEOUT_MS).expect("seconds"),
            Event::TimeOut(exchange),
        );
        let origin = Origin::of(&request.url);
        let host = origin.as_ref().map(Origin::authority);
        let to = self
            .instances
            .iter()
            .position(|to| host == Some(&to.authority));
        let Some(to) = to else {
            let nobody = TransportError::Dns("no such host".to_owned());
            self.after(1, Event::Answer(exchange, Err(nobody)));
            return;
        };
        if request.method == Method::POST {
            self.record.sent.insert((from, to, digest_of(&request)));
        }
        let arrive = |exchange, request: Request| Event::Arrive {
            exchange,
            from,
            to,
            request,
        };
        let is_post = request.method == Method::POST;
        if is_post && self.dice.below(100) < self.weather.forged {
            let urls: Vec<String> = self
                .people
                .iter()
                .map(|person| person.url.clone())
                .collect();
            let body = forged(&request.body, &urls, &mut self.dice);
            let request = Request {
                body,
                ..request.clone()
            };
            let wait_ms = self.delay();
            self.record.forged += 1;
            self.after(wait_ms, arrive(None, request));
        }
        if is_post && self.dice.below(100) < self.weather.doubled {
            // Much later, at times.
            let wait_ms = self.delay() << self.dice.below(8);
            self.after(wait_ms, arrive(None, request.clone()));
        }
        if !self.is_lost(from, to) {
            let wait_ms = self.delay();
            self.after(wait_ms, arrive(Some(exchange), request));
        }
    }

    fn delay(&mut self) -> usize {
        1 + self.dice.below(self.weather.delay_ms.max(1))
    }

    fn is_lost(&mut self, from: usize, to: usize) -> bool {
        let is_parted = self.parted.contains(&(from.min(to), from.max(to)));
        is_parted || self.dice.below(100) < self.weather.lost
    }

    fn happen(&mut self) -> Result<(), String> {
        let Some((_, event)) = self.events.pop_first() else {
            return Ok(());
        };
        match event {
            Event::Arrive {
                exchange,
                from,
                to,
                request,
            } => self.arrive(exchange, (from, to), request),
            Event::Answer(exchange, answer) => self.answer(exchange, answer),
            Event::TimeOut(exchange) => {
                let timeout = std::time::Duration::from_millis(TIMEOUT_MS.unsigned_abs());
                self.answer(exchange, Err(TransportError::Timeout(timeout)));
            }
            Event::Wake(wake) => {
                // Who no longer waits need not be woken.
                let _gone = wake.send(());
            }
            Event::Act => self.act_somehow(),
            Event::Trouble => self.trouble(),
            Event::Heal(a, b) => {
                self.parted.remove(&(a, b));
            }
            Event::Start(on) => {
                self.start(on);
                return self.kept(on);
            }
            Event::Tend(on) => self.tend(on),
            Event::SayAgain(on) => {
                if let Some(running) = &mut self.instances[on].running {
                    running.due.say = true;
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, exchange: u64, answer: Answered) {
        if let Some(reply) = self.exchanges.remove(&exchange) {
            // Who asked may be gone.
            let _gone = reply.send(answer);
        }
    }

    fn arrive(&mut self, exchange: Option<u64>, (from, to): (usize, usize), request: Request) {
        let Some(running) = &self.instances[to].running else {
            if let Some(exchange) = exchange {
                let nobody = TransportError::Connect("nobody is there".to_owned());
                self.after(1, Event::Answer(exchange, Err(nobody)));
            }
            return;
        };
        let node = running.node.clone();
        if request.method != Method::POST {
            let (status, body) = served(&node, &request.url);
            self.trace.note(format!(
                "{} i{to} serves {status} of {} to i{from}",
                self.now_ms, request.url
            ));
            let answer = response(&request.url, status, None, body.as_ref());
            if let Some(exchange) = exchange
                && !self.is_lost(from, to)
            {
                let wait_ms = self.delay();
                self.after(wait_ms, Event::Answer(exchange, Ok(answer)));
            }
            return;
        }
        let base = node.instance().base_url();
        let path = request.url.strip_prefix(base).expect("on this instance");
        let target = path
            .strip_prefix("/actors/")
            .and_then(|path| path.strip_suffix("/inbox"));
        let post = InboxPost {
            target: target.map(str::to_owned),
            notation: Notation::Json,
            body: request.body.clone(),
            head: RequestParts {
                method: Method::POST,
                path_and_query: path.to_owned(),
                headers: request.headers.clone(),
            },
            source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(from).expect("few"))),
        };
        let url = request.url;
        let receiving = async move {
            let outcome = node.ingest(post).await;
            Done::Received(exchange, url, outcome)
        };
        self.spawn(to, receiving.boxed());
    }

    fn done(&mut self, on: usize, done: Done) -> Result<(), String> {
        let local_ms = self.instances[on].now_ms();
        let running = self.instances[on].up();
        match done {
            Done::Received(exchange, url, outcome) => {
                let (status, retry_after_s) = match &outcome {
                    Ok(_) => (202, None),
                    Err(refusal) => (refusal.code.http_status(), refusal.retry_after_s),
                };
                self.trace.note(match &outcome {
                    Ok(receipt) => format!(
                        "{} i{on} took {} by {url}: {:?}",
                        self.now_ms, receipt.cid, receipt.status
                    ),
                    Err(refusal) => format!("{} i{on} refused by {url}: {refusal}", self.now_ms),
                });
                if let Ok(receipt) = &outcome
                    && matches!(receipt.status, Status::Accepted | Status::Replay)
                {
                    self.record.accepted.insert((on, receipt.cid.digest));
                }
                if let Some(exchange) = exchange {
                    let wait_ms = self.delay();
                    let answer = response(&url, status, retry_after_s, None);
                    if self.dice.below(100) >= self.weather.lost {
                        self.after(wait_ms, Event::Answer(exchange, Ok(answer)));
                    }
                }
            }
            Done::Expanded(expander, places) => {
                running.expander = Some(expander);
                running.due.expand = true;
                match places {
                    Ok(places) => {
                        running.scheduler.queued(&places);
                        running.due.send = true;
                    }
                    Err(error) => return Err(format!("i{on} can't expand: {error}")),
                }
            }
            Done::Tried(done) => {
                self.trace.note(format!(
                    "{} i{on} tried entry {} at {}: {:?}",
                    self.now_ms,
                    done.tried.placed.place.offset,
                    done.tried.placed.place.host,
                    done.outcome
                ));
                let settled = running.scheduler.settle(vec![done], local_ms);
                settled.expect("memory takes all");
                running.due.send = true;
                running.due.expand = true;
            }
            Done::Said(failed, is_more) => {
                let is_again = failed.any();
                running.failed = Some(failed);
                running.due.say |= is_more;
                if is_again {
                    self.after(5_000, Event::SayAgain(on));
                }
            }
            Done::Erased => {}
            Done::Acted(act, outcome) => self.acted(on, &act, outcome),
        }
        Ok(())
    }

    fn acted(&mut self, on: usize, act: &Act, outcome: Result<Published, Refusal>) {
        let published = match outcome {
            Ok(published) => published,
            Err(refusal) => {
                self.trace
                    .note(format!("{} i{on} {act:?}: {refusal}", self.now_ms));
                return;
            }
        };
        self.trace.note(format!(
            "{} i{on} {act:?}: {} at {}",
            self.now_ms, published.cid, published.offset
        ));
        let person = self
            .people
            .iter()
            .position(|person| published.id.starts_with(&format!("{}/", person.url)));
        let person = person.expect("somebody published it");
        let digest = published.cid.digest;
        if let Act::Post(audience) = act {
            self.people[person].posts.push(published.cid);
            if let Audience::Direct(open, hidden) = audience {
                let named = [&open[..], &hidden[..]].concat();
                self.record.addressed.insert(digest, named);
            }
        }
        self.record
            .published
            .push((on, digest, published.offset, person));
    }

    /// Somebody does something, if it can.
    fn act_somehow(&mut self) {
        let person = self.dice.below(self.people.len());
        let act = Act::any(&mut self.dice, &self.people, person);
        self.act(person, act);
    }

    fn act(&mut self, person: usize, act: Act) {
        let who = &mut self.people[person];
        let instance = &self.instances[who.on];
        let Some(running) = &instance.running else {
            return;
        };
        let number = match act {
            Act::Create => Some(1),
            Act::Rotate => {
                who.rotations += 1;
                Some(who.rotations + 1)
            }
            _ => None,
        };
        if let Some(number) = number
            && self.keys_left.insert((person, number))
        {
            instance.leave_keys(&who.url, number);
        }
        let doing = act.clone().done(running.node.clone(), who);
        let on = who.on;
        let acting = async move { Done::Acted(act, doing.await) };
        self.spawn(on, acting.boxed());
    }

    fn trouble(&mut self) {
        let on = self.dice.below(self.instances.len());
        let other = self.dice.below(self.instances.len());
        match self.dice.below(8) {
            0 | 1 if on != other => {
                let pair = (on.min(other), on.max(other));
                self.parted.insert(pair);
                let wait_ms = self.dice.below(10 * 60_000);
                self.trace
                    .note(format!("{} i{on} and i{other} part", self.now_ms));
                self.after(wait_ms, Event::Heal(pair.0, pair.1));
            }
            2 => self.crash(on, Crash::Killed),
            3 => self.crash(on, Crash::PowerLost),
            4 => self.crash(on, Crash::IndexLost),
            5 | 6 => self.instances[on].cut_power_at(self.dice.next() % 24),
            _ => {
                let skew_ms = skew(&mut self.dice);
                self.instances[on].skew_ms = skew_ms;
                self.instances[on].set_time(self.now_ms);
                self.trace
                    .note(format!("{} i{on} is off by {skew_ms}", self.now_ms));
            }
        }
    }

    fn crash(&mut self, on: usize, crash: Crash) {
        if self.instances[on].running.is_none() {
            return;
        }
        self.tasks.retain(|_, task| task.on != on);
        self.instances[on].crash(crash, &mut self.dice);
        self.trace
            .note(format!("{} i{on} crashes: {crash:?}", self.now_ms));
        self.record.crashes += 1;
        let wait_ms = 1 << self.dice.below(20);
        self.after(wait_ms, Event::Start(on));
    }

    fn start(&mut self, on: usize) {
        if self.instances[on].running.is_some() {
            return;
        }
        let seed = self.dice.next();
        self.instances[on].set_time(self.now_ms);
        match self.instances[on].start(seed, self.marks_apart) {
            Ok(()) => {
                let node = self.instances[on].up().node.clone();
                let view = node.view().applied();
                let erasing = async move {
                    node.erase_left().await;
                    Done::Erased
                };
                self.spawn(on, erasing.boxed());
                self.trace
                    .note(format!("{} i{on} starts with {view}", self.now_ms));
            }
            Err(error) => {
                self.trace
                    .note(format!("{} i{on} can't start: {error}", self.now_ms));
                self.instances[on].crash(Crash::PowerLost, &mut self.dice);
                self.after(1_000, Event::Start(on));
            }
        }
    }

    /// What the store's second thread does now and then.
    fn tend(&mut self, on: usize) {
        let tended = self.instances[on].running.as_mut().is_none_or(|running| {
            let overwritten = running.stepper.overwrite();
            let flushed = running.stepper.flush();
            // A ledger that is not written is written as a whole the next time.
            let _next_time = running.deliveries.sync_ledger();
            overwritten.is_ok() && flushed.is_ok()
        });
        if !tended {
            self.crash(on, Crash::PowerLost);
        }
        if !self.is_healed {
            let wait_ms = 1_000 + self.dice.below(60_000);
            self.after(wait_ms, Event::Tend(on));
        }
    }

    /// Everything is well from here on.
    fn heal(&mut self) {
        self.trace.note(format!("{} all is well", self.now_ms));
        self.is_healed = true;
        self.parted.clear();
        self.weather = Weather {
            delay_ms: 50,
            ..Weather::default()
        };
        for on in 0..self.instances.len() {
            self.instances[on].keep_power();
            self.start(on);
        }
    }

    /// Nothing is left to do.
    fn rest(&mut self) -> Result<(), String> {
        for on in 0..self.instances.len() {
            let running = self.instances[on].up();
            while running
                .stepper
                .overwrite()
                .map_err(|error| error.to_string())?
            {}
            running.stepper.flush().map_err(|error| error.to_string())?;
        }
        match self.tasks.len() {
            0 => Ok(()),
            left => Err(format!("{left} tasks wait for nothing")),
        }
    }

    /// What an instance has answered for is there after it was started again.
    fn kept(&mut self, on: usize) -> Result<(), String> {
        let Some(running) = &self.instances[on].running else {
            return Ok(());
        };
        let published = self.record.published.iter().filter(|one| one.0 == on);
        let accepted = self.record.accepted.iter().filter(|one| one.0 == on);
        let answered = published
            .map(|(_, digest, ..)| digest)
            .chain(accepted.map(|(_, digest)| digest));
        for digest in answered {
            let stored = running.node.view().stored(digest);
            if stored.map_err(|error| error.to_string())?.is_none() {
                return Err(format!("i{on} has lost {digest:?}, which it answered for"));
            }
        }
        Ok(())
    }
}

fn skew(dice: &mut Dice) -> i64 {
    let off = i64::try_from(dice.below(2 * SKEW_MS)).expect("minutes");
    off - i64::try_from(SKEW_MS).expect("minutes")
}

fn digest_of(request: &Request) -> Digest {
    let map = notation::read_document(Notation::Json, &request.body, 1 << 20);
    Digest::of(&document_bytes(&map.expect("what an instance sends")))
}
