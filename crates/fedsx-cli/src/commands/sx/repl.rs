//! `sx repl`: entries one after the other; definitions stay.
//!
//! At a terminal with line editing and a history of the session; else lines as they come, so that a
//! script can be piped in. Ctrl-C drops what was typed, Ctrl-D ends.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use anyhow::Context as _;
use fedsx_core::definition::host;
use fedsx_sx::budget::Limits;
use fedsx_sx::session::Session;
use rustyline::error::ReadlineError;

use super::shown;
use crate::args::Form;

const FIRST: &str = "sx> ";
const MORE: &str = "  > ";

/// Reads and evaluates until the input ends.
pub(crate) fn run(form: Form) -> anyhow::Result<()> {
    let mut prompt = Prompt::new(form);
    let mut out = anstream::stdout();
    if io::stdin().is_terminal() {
        return edited(&mut prompt, &mut out);
    }
    for line in io::stdin().lock().lines() {
        prompt.line(&line.context("can't read stdin")?, &mut out)?;
    }
    prompt.end(&mut out)
}

fn edited(prompt: &mut Prompt, out: &mut impl Write) -> anyhow::Result<()> {
    let mut editor = rustyline::DefaultEditor::new().context("can't edit lines here")?;
    loop {
        match editor.readline(if prompt.entry.is_empty() { FIRST } else { MORE }) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    // A history that is full costs an old line and no answer.
                    let _added = editor.add_history_entry(&line);
                }
                prompt.line(&line, out)?;
            }
            Err(ReadlineError::Interrupted) => prompt.entry.clear(),
            Err(ReadlineError::Eof) => return prompt.end(out),
            Err(error) => return Err(error).context("can't read the terminal"),
        }
    }
}

/// What was entered and is not finished.
struct Prompt {
    form: Form,
    session: Session,
    entry: String,
}

impl Prompt {
    fn new(form: Form) -> Self {
        Self {
            form,
            session: Session::new(host().clone()),
            entry: String::new(),
        }
    }

    /// One more line; an entry that is finished by it is evaluated.
    fn line(&mut self, line: &str, out: &mut impl Write) -> anyhow::Result<()> {
        self.entry.push_str(line);
        self.entry.push('\n');
        if self.entry.trim().is_empty() {
            self.entry.clear();
            return Ok(());
        }
        match self.session.enter(&self.entry, Limits::default()) {
            Err(error) if error.is_unfinished => return Ok(()),
            Err(error) => write!(out, "{}", error.page)?,
            Ok(answer) => {
                for name in &answer.defined {
                    writeln!(out, "; {name} is defined")?;
                }
                if let Some(value) = &answer.value {
                    match shown(self.form, value) {
                        Ok(text) => writeln!(out, "{text}")?,
                        Err(error) => writeln!(out, "error: {error}")?,
                    }
                }
            }
        }
        self.entry.clear();
        Ok(out.flush()?)
    }

    /// Says what was left unfinished.
    fn end(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        if !self.entry.is_empty()
            && let Err(error) = self.session.enter(&self.entry, Limits::default())
        {
            write!(out, "{}", error.page)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_on_until_they_are_finished_and_definitions_stay() {
        let mut prompt = Prompt::new(Form::Table);
        let mut out = Vec::new();
        for line in [
            "(define (twice x)",
            "  (* 2 x))",
            "",
            "(twice 21)",
            "(twice",
            ")",
            "nonsense",
            "(twice 1",
        ] {
            prompt.line(line, &mut out).expect("memory takes all");
        }
        prompt.end(&mut out).expect("memory takes all");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"));
    }
}
