//! Questions to a person: plain lines, the proposal in brackets, asked again where the answer is of no use.

use std::io::{BufRead, Write};

use anyhow::{Result, bail};

/// Someone who is asked: a terminal, or a test.
pub(super) struct Person<'a> {
    pub(super) answers: &'a mut dyn BufRead,
    /// Where questions are written; not where data goes.
    pub(super) questions: &'a mut dyn Write,
}

impl Person<'_> {
    /// Tells something that needs no answer.
    pub(super) fn tell(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.questions, "{text}")?)
    }

    /// Asks until `read` can make something of the answer, which is `proposal` where the line is empty. `read` says what
    /// is wrong with one.
    ///
    /// # Errors
    ///
    /// Where the input ends.
    pub(super) fn ask<T>(
        &mut self,
        question: &str,
        proposal: Option<&str>,
        mut read: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<T> {
        // A person who leaves ends the input; one who errs is not to answer all the rest again.
        loop {
            match proposal {
                Some(proposal) => write!(self.questions, "{question} [{proposal}]: ")?,
                None => write!(self.questions, "{question}: ")?,
            }
            self.questions.flush()?;
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                // The next thing that is written begins a line of its own.
                writeln!(self.questions)?;
                bail!("the input ended before all was answered; nothing was written");
            }
            let answer = match line.trim() {
                "" => proposal.unwrap_or_default(),
                answer => answer,
            };
            match read(answer) {
                Ok(answer) => return Ok(answer),
                Err(why) => writeln!(self.questions, "  {}", super::super::messages::printable(&why))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(answers: &str, proposal: Option<&str>) -> (Result<u32>, String) {
        let (mut answers, mut questions) = (answers.as_bytes(), Vec::new());
        let mut person = Person { answers: &mut answers, questions: &mut questions };
        let number =
            person.ask("How many", proposal, |text| text.parse().map_err(|_| format!("{text:?} is no number")));
        (number, String::from_utf8(questions).unwrap())
    }

    #[test]
    fn a_proposal_is_taken_and_a_wrong_answer_asked_again() {
        assert_eq!(ask("\n", Some("7")).0.unwrap(), 7);
        let (number, said) = ask(" many\n8 \n", None);
        assert_eq!((number.unwrap(), said.as_str()), (8, "How many:   \"many\" is no number\nHow many: "));
        let (number, said) = ask("a\nb\nc\nd\n9\n", Some("7"));
        assert_eq!((number.unwrap(), said.matches("How many [7]").count()), (9, 5));
    }

    #[test]
    fn the_end_of_the_input_is_an_end() {
        for answers in ["", "x\n"] {
            assert!(ask(answers, None).0.unwrap_err().to_string().contains("nothing was written"));
        }
        // A last line without its line feed is an answer.
        assert_eq!(ask("5", None).0.unwrap(), 5);
    }
}
