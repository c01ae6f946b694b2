#!/usr/bin/env bash
# Two real processes federate, driven from outside by curl and the fedsx command line alone. Every step is asserted
# and printed: `ok 7 bob's note is in alice's inbox`. Exits 0 only if all held, and leaves nothing running.
#
# Takes the variables of start_pair.sh. Without PAIR_DIR everything is kept in a temporary place, which is removed
# when all held; with one, that directory must not hold a pair yet.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kept=${PAIR_DIR:-}
export PAIR_DIR=${PAIR_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/fedsx-smoke-XXXXXX")}
export PAIR_SETTINGS="${PAIR_SETTINGS:-} delivery.retry=200ms,200ms,500ms,1s peers.negative_ttl=1s definitions.trust=followed"
. "$here/pair.sh"

step=0
doing="starting"
held=0

finish() {
    "$here/stop_pair.sh" || held=0
    if [ "$held" = 0 ]; then
        echo "not ok $((step + 1)) $doing" >&2
        echo "data and logs are in $PAIR_DIR" >&2
        exit 1
    fi
    [ -n "$kept" ] || rm -rf "$PAIR_DIR"
}
trap finish EXIT
trap 'exit 1' INT TERM

# What comes next, for when it fails.
now() {
    doing=$*
}

ok() {
    step=$((step + 1))
    echo "ok $step $doing"
}

a() {
    "$FEDSX" --data-dir "$PAIR_DIR/a" --output json "$@"
}

b() {
    "$FEDSX" --data-dir "$PAIR_DIR/b" --output json "$@"
}

# Looks again until it holds, for 30 s at most.
eventually() {
    local _
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then
            return
        fi
        sleep 0.1
    done
    fail "waited 30 s in vain for: $*"
}

# In no file of either data directory; a file that goes while it is looked through is looked for again.
nowhere() { # text
    local found=0
    grep -rqaF -- "$1" "$PAIR_DIR/a" "$PAIR_DIR/b" 2>/dev/null || found=$?
    [ "$found" = 1 ]
}

# Read whole before it is looked through: a pipe that closes early is a failure of the one that writes.
holds() { # text command…
    local text=$1 answer
    shift
    answer=$("$@") || return 1
    grep -Fq -- "$text" <<<"$answer"
}

lacks() { # text command…
    local text=$1 answer
    shift
    answer=$("$@") || return 1
    ! grep -Fq -- "$text" <<<"$answer"
}

is_empty() {
    [ "$("$@" | tr -d ' \n')" = "[]" ]
}

delivered() { # a|b
    local backlog
    backlog=$("$1" deliveries) || return 1
    ! grep -Eq '"(unexpanded|queued|setAside|inFlight)": *[1-9]' <<<"$backlog"
}

fetch() { # url [curl options]
    local url=$1
    shift
    curl --silent --show-error --fail --max-time 10 "$@" "$url"
}

document() { # url
    fetch "$1" --header "Accept: application/activity+json"
}

# What a public projection of an instance has made of all that is in its journal.
folded() { # url a|b name[?key=…]
    local offset mark='?'
    offset=$("$2" status | grep -Eo '"offset": *[0-9]+' | grep -Eo '[0-9]+') || return 1
    case $3 in *\?*) mark='&' ;; esac
    fetch "$1/projections/$3${mark}wait=$offset"
}

# Posts a document to an inbox; writes the status, and the answer to a file.
deliver() { # inbox file answer
    curl --silent --show-error --max-time 10 --output "$3" --write-out '%{http_code}' \
        --header "Content-Type: application/activity+json" --data-binary "@$2" "$1"
}

# What is still to be delivered to B, and why it was not yet.
lane_to_b() {
    a deliveries | tr -d ' \n' | grep -Eo "\{[^{}]*\"host\":\"${B#http://}\"[^{}]*\}"
}

# Those of some CIDs that a log lists, in its order: newest first.
listed() { # cids command…
    local cids=$1 answer
    shift
    answer=$("$@") || return 1
    grep -Eo '"cid": *"[^"]*"' <<<"$answer" | grep -Eo 'b[a-z2-7]{20,}' | grep -Fx -- "$cids"
}

# The first number member of that name in the JSON on stdin.
number() { # name
    grep -Eo "\"$1\": *[0-9]+" | sed -n '1s/^.*[: ]//p'
}

# The head of alice's log, read into origin, size and root; its form is that of a signed checkpoint.
read_checkpoint() {
    local log="${alice#http://}/log" blank signed
    fetch "$alice/log/checkpoint" >"$PAIR_DIR/checkpoint"
    { read -r origin && read -r size && read -r root && read -r blank && read -r signed; } <"$PAIR_DIR/checkpoint"
    [ "$origin" = "$log" ]
    [[ $size =~ ^[1-9][0-9]*$ ]]
    [[ $root =~ ^[A-Za-z0-9+/]{43}=$ ]]
    [ -z "$blank" ]
    [[ $signed == "— $log "* ]]
}

# The bytes of a CID as a leaf has them, in hexadecimal digits.
leaf() { # cid
    local alphabet=abcdefghijklmnopqrstuvwxyz234567 digits=${1#b} bits=0 value=0 before hex=""
    while [ -n "$digits" ]; do
        before=${alphabet%%"${digits:0:1}"*}
        digits=${digits:1}
        value=$(((value << 5 | ${#before}) & 0xfff))
        bits=$((bits + 5))
        if [ "$bits" -ge 8 ]; then
            bits=$((bits - 8))
            hex+=$(printf '%02x' $((value >> bits & 0xff)))
        fi
    done
    printf '%04x%s' $((${#hex} / 2)) "$hex"
}

# The newest offset, and the hash of all derived rows.
state() { # a|b
    "$1" status --digest | grep -E '"(digest|offset)"'
}

# Everything that could differ after a restart.
logs() { # directory
    mkdir -p "$1"
    a outbox alice --limit 10000 >"$1/alice-outbox"
    a inbox alice --limit 10000 >"$1/alice-inbox"
    b outbox bob --limit 10000 >"$1/bob-outbox"
    b inbox bob --limit 10000 >"$1/bob-inbox"
    folded "$A" a pin-state >"$1/a-pins"
    folded "$B" b "endorsements?key=$object" >"$1/b-endorsements"
    state a >"$1/a-state"
    state b >"$1/b-state"
}

if [ -e "$PAIR_DIR/a" ]; then
    fail "$PAIR_DIR holds a pair already; choose another PAIR_DIR"
fi
now "two instances are ready"
"$here/start_pair.sh" >/dev/null
A=$(cat "$PAIR_DIR/a.url")
B=$(cat "$PAIR_DIR/b.url")
ok

now "both say what they can do"
for url in "$A" "$B"; do
    holds '"eddsa-jcs-2022"' fetch "$url/.well-known/sx-capabilities"
    nodeinfo=$(fetch "$url/.well-known/nodeinfo" | member href)
    holds '"2.1"' fetch "$nodeinfo"
done
ok

now "an actor is created on each"
alice=$(a actor create alice --display-name Alice | member url)
bob=$(b actor create bob --display-name Bob | member url)
[ "$alice" = "$A/actors/alice" ]
[ "$bob" = "$B/actors/bob" ]
ok

now "WebFinger finds both, by handle and by URL, and nobody else"
for who in "$A alice" "$B bob"; do
    read -r url name <<<"$who"
    for resource in "acct:$name@${url#http://}" "$url/actors/$name"; do
        holds "\"$url/actors/$name\"" fetch "$url/.well-known/webfinger?resource=$resource"
    done
    status=$(curl --silent --output /dev/null --write-out '%{http_code}' \
        "$url/.well-known/webfinger?resource=acct:nobody@${url#http://}")
    [ "$status" = 404 ]
done
ok

now "both actor documents name their keys"
for url in "$alice" "$bob"; do
    document "$url" >"$PAIR_DIR/actor"
    [ "$(member id <"$PAIR_DIR/actor")" != "" ]
    holds "\"$url#ed25519-1\"" cat "$PAIR_DIR/actor"
    holds '"assertionMethod"' cat "$PAIR_DIR/actor"
done
ok

now "alice asks to follow bob"
follow=$(a follow alice "acct:bob@${B#http://}" | member cid)
eventually holds "$follow" b inbox bob
ok

now "the follow is accepted on both sides"
eventually holds '"state":"accepted"' a following alice
eventually holds '"state":"accepted"' b followers bob
holds "$bob" a following alice
holds "$alice" b followers bob
ok

now "bob writes a note, and his outbox shows it"
note=$(b post bob "Hello from B" | member cid)
holds '"Hello from B"' document "$bob/outbox?page=true"
document "$B/artifacts/$note" >"$PAIR_DIR/note"
ok

now "bob's note is in alice's inbox"
eventually holds "$note" a inbox alice
holds '"Hello from B"' a timeline alice
ok

now "alice passes bob's note on: it reaches her follower carol, and bob"
carol=$(b actor create carol | member url)
b follow carol "acct:alice@${A#http://}" >/dev/null
eventually holds '"state":"accepted"' b following carol
eventually holds "$carol" a followers alice
announced=$(a announce alice "$note" | member cid)
eventually holds "$announced" b inbox carol
eventually holds "$announced" b inbox bob
holds "$announced" b timeline carol
ok

now "what alice and carol like is counted"
object=$(sed 's/.*"object":{//' "$PAIR_DIR/note" | member id)
liked=$(a endorse alice "$note" --kind like | member cid)
b endorse carol "$object" >/dev/null
eventually holds "$liked" b inbox bob
holds '"like":{"actors":' folded "$B" b "endorsements?key=$object"
holds '"count":2' folded "$B" b "endorsements?key=$object"
holds '"count":1' folded "$B" b "announcements?key=$object"
ok

now "a verb and what it adds up to are defined while A runs"
cat >"$PAIR_DIR/pin.sx" <<'SX'
(DefineActivity :name "Pin" :doc "Keeps a link at hand."
  :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))))
SX
cat >"$PAIR_DIR/pin-state.sx" <<'SX'
(DefineProjection :name "pin-state" :doc "What is pinned where."
  :on "Pin" :scope "public" :initialState {}
  :fold (fn (state act) (assoc state (get act :path) (get act :object))))
SX
for file in pin pin-state; do
    a define "$PAIR_DIR/$file.sx" --as alice >/dev/null
done
for link in a b; do
    a publish alice - <<<"(Pin :path \"$link\" :object \"https://$link.example/\")" >/dev/null
done
if a publish alice - <<<'(Pin :path 7)' >/dev/null 2>"$PAIR_DIR/said"; then
    fail "a Pin without a link was published"
fi
holds '[schema]' cat "$PAIR_DIR/said"
holds '"state":{"a":"https://a.example/","b":"https://b.example/"}' folded "$A" a pin-state
ok

now "a rebuild comes to the same state"
folded "$A" a pin-state >"$PAIR_DIR/live"
holds '"complete": true' a projection rebuild pin-state
folded "$A" a pin-state | diff - "$PAIR_DIR/live"
ok

now "a replay is taken quietly and changes nothing"
before=$(state a)
for inbox in "$alice/inbox" "$A/inbox"; do
    [ "$(deliver "$inbox" "$PAIR_DIR/note" "$PAIR_DIR/answer")" = 202 ]
    [ "$(member status <"$PAIR_DIR/answer")" = replay ]
done
[ "$(state a)" = "$before" ]
ok

now "a forged note is refused and changes nothing"
sed 's/Hello from B/Hello from M/' "$PAIR_DIR/note" >"$PAIR_DIR/forged"
[ "$(deliver "$alice/inbox" "$PAIR_DIR/forged" "$PAIR_DIR/answer")" = 401 ]
[ "$(member code <"$PAIR_DIR/answer")" = bad-signature ]
[ "$(state a)" = "$before" ]
ok

now "half a note is refused too"
head -c 200 "$PAIR_DIR/note" >"$PAIR_DIR/half"
[ "$(deliver "$alice/inbox" "$PAIR_DIR/half" "$PAIR_DIR/answer")" = 400 ]
[ "$(member code <"$PAIR_DIR/answer")" = malformed ]
[ "$(state a)" = "$before" ]
ok

now "alice unfollows, and both sides forget"
a unfollow alice "$bob" >/dev/null
is_empty a following alice
eventually is_empty b followers bob
ok

now "what bob writes now does not reach alice, but what he addresses to her does"
unheard=$(b post bob "Nobody listens" | member cid)
direct=$(b post bob "To you" --to "$alice" | member cid)
eventually holds "$direct" a inbox alice
lacks "$unheard" a inbox alice
ok

now "a verb learnt across instances: kept while nobody here follows its definer, then fetched, activated and folded"
cat >"$PAIR_DIR/shelve.sx" <<'SX'
(DefineActivity :name "Shelve" :doc "To put a link where it is found."
  :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))))
SX
cat >"$PAIR_DIR/shelf.sx" <<'SX'
(DefineProjection :name "shelf" :doc "What stands where." :on "Shelve" :scope "public" :initialState {}
  :fold (fn (state act) (assoc state (get act :path) (get act :object))))
SX
b define "$PAIR_DIR/shelve.sx" --as bob >/dev/null
a define "$PAIR_DIR/shelf.sx" --as alice >/dev/null
cat >"$PAIR_DIR/shelve.json" <<JSON
{"type": "Shelve", "path": "links", "object": "https://example.org/",
 "to": ["$alice", "https://www.w3.org/ns/activitystreams#Public"]}
JSON
shelved=$(b publish bob "$PAIR_DIR/shelve.json" | member cid)
eventually holds "nobody here follows $bob" a explain "$shelved"
holds '"standing": "kept"' a explain "$shelved"
lacks '"links"' fetch "$A/projections/shelf"
a follow alice "$bob" >/dev/null
eventually holds '"standing": "admitted"' a explain "$shelved"
eventually holds '"links":"https://example.org/"' fetch "$A/projections/shelf"
ok

now "alice's key is rotated, and bob still hears her"
holds "\"$alice#ed25519-2\"" a actor rotate-key alice
document "$alice" >"$PAIR_DIR/actor"
holds '"keyHistory"' cat "$PAIR_DIR/actor"
holds "\"$alice#ed25519-2\"" cat "$PAIR_DIR/actor"
heard=$(a post alice "By a new key" --to "$bob" | member cid)
eventually holds "$heard" b inbox bob
holds '"supersededBy"' a actor keys alice
ok

now "a deleted note is gone on both sides, and both logs verify"
secret="nobody-reads-this-twice"
deleted=$(b post bob "$secret" --to "$alice" | member cid)
eventually holds "$deleted" a inbox alice
b delete bob "$deleted" >/dev/null
holds '"standing": "erased"' b explain "$deleted"
eventually holds '"standing": "erased"' a explain "$deleted"
eventually nowhere "$secret"
holds '"clean": true' a verify
holds '"clean": true' b verify
ok

now "bob's profile changes, and alice hears of it"
updated=$(b actor update bob --display-name "Bob of B" --icon "$B/bob.png" --field Pronouns=he | member cid)
holds '"name":"Bob of B"' document "$bob"
holds '"PropertyValue"' document "$bob"
eventually holds "$updated" a inbox alice
ok

now "bob moves to another actor, and alice goes along"
robert=$(a actor create robert | member url)
! b actor move bob "$robert" >/dev/null 2>"$PAIR_DIR/refused"
holds 'alsoKnownAs' cat "$PAIR_DIR/refused"
a actor update robert --also-known-as "$bob" >/dev/null
holds "\"$robert\"" b actor move bob "$robert"
eventually holds "\"$robert\"" a following alice
eventually lacks "\"$bob\"" a following alice
ok

now "dave is deleted: alice has a follower less, and a Tombstone is left of dave"
dave=$(b actor create dave | member url)
b follow dave "acct:alice@${A#http://}" >/dev/null
eventually holds "\"$dave\"" a followers alice
b actor delete dave --confirm dave >/dev/null
eventually lacks "\"$dave\"" a followers alice
[ "$(curl --silent --max-time 10 --output "$PAIR_DIR/left" --write-out '%{http_code}' "$dave")" = 410 ]
holds '"Tombstone"' cat "$PAIR_DIR/left"
! b post dave "One more" >/dev/null 2>"$PAIR_DIR/refused"
holds 'was deleted' cat "$PAIR_DIR/refused"
ok

now "a post to a group is announced to its followers, as its author's"
club=$(a actor create club --kind group | member url)
b actor create erin >/dev/null
b follow erin "acct:club@${A#http://}" >/dev/null
eventually holds '"state":"accepted"' b following erin
near=$(a post alice "Said beside the group" --to "$club" --visibility public | member cid)
far=$(b post bob "Said far from the group" --to "$club" --visibility public | member cid)
for said in "$near" "$far"; do
    eventually holds "\"objectCid\":\"$said\"" a outbox club
    eventually holds "\"cid\":\"$said\"" b inbox erin
done
holds '"Said beside the group"' b timeline erin
holds '"Said far from the group"' b timeline erin
a group add club alice --controller >/dev/null
holds "\"$alice\"" fetch "$club/controllers"
a delete alice "$far" >/dev/null
eventually holds '"Delete"' b inbox erin
holds '"Said far from the group"' b get "$far"
ok

now "history comes with a follow, in each mode, and is no news"
frank=$(b actor create frank | member url)
for text in "frank one" "frank two" "frank three"; do
    said=$(b post frank "$text" | member cid)
    [ "$text" != "frank one" ] || first=$said
done
only=$(b post frank "frank among us" --visibility followers | member cid)
past() { # name
    a inbox "$1" --limit 1000 | grep -c '"state":"backfilled"' || true
}
for mode in none last:2 window:3600 "since:$first" full; do
    name=mode_${mode%%:*}
    a actor create "$name" >/dev/null
    a follow "$name" "$frank" --backfill "$mode" >/dev/null
    eventually holds '"state":"accepted"' a following "$name"
    case $mode in
    none) wanted=0 && is_empty a backfill "$name" ;;
    last:2) wanted=2 ;;
    since:*) wanted=3 ;;
    *) wanted=5 ;;
    esac
    [ "$wanted" = 0 ] || eventually holds '"state":"complete"' a backfill "$name"
    [ "$(past "$name")" = "$wanted" ] || fail "$mode gave $(past "$name") and not $wanted"
    [ "$wanted" = 0 ] || holds "$only" a inbox "$name"
done
holds '"backfilled": true' a explain "$only"
lacks "$only" document "$frank/outbox?page=true"
holds '"entered": 0' a backfill mode_full "$frank" --mode last:3
ok

now "B is down: what alice writes waits, and A says for whom and why"
"$here/stop_pair.sh" b
posted=""
for nth in $(seq 20); do
    waiting=$(a post alice "Said to a closed door, $nth" | member cid)
    posted=$waiting${posted:+$'\n'$posted}
done
eventually holds '"lastError":"' lane_to_b
eventually holds "\"queued\":$nth," lane_to_b
eventually holds '"state":"host-failed"' a deliveries --of "${posted##*$'\n'}"
is_empty a dead-letters
ok

now "B is back: all of it arrives, once and in order, and not one by one"
"$here/start_pair.sh" b >/dev/null
eventually delivered a
[ "$(listed "$posted" b inbox carol --limit 1000)" = "$posted" ]
holds '"state":"arrived"' a deliveries --of "$waiting"
# A delivery by itself is answered 202, a batch 200, and B counts since it started; some go before A knows that it takes
# batches.
singles=$(fetch "$(member url <"$PAIR_DIR/b/admin.json")/metrics" | sed -n 's/^fedsx_http_answers_total{status="202"} //p')
[ "${singles:-0}" -lt "$nth" ]
ok

now "alice's log has a signed checkpoint, and what she says in public is its next leaf"
holds '"faults": []' b verify actor "acct:alice@${A#http://}"
read_checkpoint
before="$size $root"
newest=$(a post alice "What is said is said" | member cid)
read_checkpoint
[ "$size" = $((${before% *} + 1)) ]
[ "$root" != "${before#* }" ]
# Fewer leaves than a tile has: one partial bundle holds them all.
bundle=$(fetch "$alice/log/tile/entries/000.p/$size" | od -An -v -tx1 | tr -d ' \n')
[[ $bundle == *"$(leaf "$newest")" ]]
a post alice "Between us" --to "$bob" >/dev/null
read_checkpoint
[ "$size" = $((${before% *} + 1)) ]
ok

now "the other side walks alice's log: it goes on from what was kept, each leaf is hers, and B signs that it saw it"
walked=$(b verify actor "acct:alice@${A#http://}")
holds '"outcome": "grown"' echo "$walked"
holds '"faults": []' echo "$walked"
[ "$(number before <<<"$walked")" = "${before% *}" ]
[ "$(number size <<<"$walked")" = "$size" ]
[ "$(number leaves <<<"$walked")" = "$size" ]
[ $(($(number proved <<<"$walked") + $(number erased <<<"$walked"))) = "$size" ]
holds 'lead to the root that was signed' "$FEDSX" --data-dir "$PAIR_DIR/b" verify actor "$alice"
eventually holds "— ${B#http://}/actor " fetch "$alice/log/checkpoint"
ok

now "nothing is left to be delivered"
eventually delivered a
eventually delivered b
is_empty a dead-letters
is_empty b dead-letters
ok

now "both restart"
logs "$PAIR_DIR/before"
"$here/stop_pair.sh"
"$here/start_pair.sh" >/dev/null
ok

now "logs and state are as before"
logs "$PAIR_DIR/after"
diff -r "$PAIR_DIR/before" "$PAIR_DIR/after"
ok

now "verify finds every frame, CID, proof and log sound, beside the running server"
holds '"clean": true' a verify
holds '"clean": true' b verify
ok

now "an index made anew is the one that was live"
"$here/stop_pair.sh"
a reindex >/dev/null
b reindex >/dev/null
"$here/start_pair.sh" >/dev/null
logs "$PAIR_DIR/rebuilt"
diff -r "$PAIR_DIR/before" "$PAIR_DIR/rebuilt"
ok

now "alice's server is lost with all its data, and she goes on from her export"
echo "a passphrase of the smoke test" >"$PAIR_DIR/passphrase"
sealed=(--passphrase-file "$PAIR_DIR/passphrase")
a actor export alice --out "$PAIR_DIR/alice.fedsx" "${sealed[@]}" >/dev/null
followers=$(a followers alice | grep -Eo '"(cid|since|state)":"[^"]*"')
"$here/stop_pair.sh"
rm -r "$PAIR_DIR/a"
"$here/start_pair.sh" >/dev/null
! a actor import "$PAIR_DIR/passphrase" "${sealed[@]}" >/dev/null 2>&1
holds "\"$alice\"" a actor import "$PAIR_DIR/alice.fedsx" "${sealed[@]}"
[ "$(a followers alice | grep -Eo '"(cid|since|state)":"[^"]*"')" = "$followers" ]
heard=$(a post alice "All was lost but this" --to "$bob" | member cid)
eventually holds "$heard" b inbox bob
holds '"clean": true' a verify
a post alice "And to all of you" >/dev/null
walked=$(b verify actor "$alice")
holds '"outcome": "grown"' echo "$walked"
holds '"faults": []' echo "$walked"
ok

held=1
