//! Wrong use in one line: what is wrong, and the command that was likely meant. A command is offered only when it would be
//! taken.

use std::{
    env,
    io::{self, Write},
    process,
};

use clap::{
    Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::table::visible;

/// Exit status of wrong use.
const MISUSE: i32 = 2;

/// Reads the command line of the program that a person knows by `name`; ends when that is help, or cannot be understood.
pub(crate) fn parse<C: Parser>(name: &str) -> C {
    C::try_parse_from(env::args_os()).unwrap_or_else(|error| {
        let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if is_help || !error.use_stderr() {
            error.exit()
        }
        let words: Vec<String> =
            env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        end(name, &sentence::<C>(name, &words, &error))
    })
}

/// Ends with status 2, as wrong use does that clap finds by itself.
pub(crate) fn misuse(why: &str) -> ! {
    end("leakhound", why)
}

fn end(name: &str, why: &str) -> ! {
    let _ = writeln!(io::stderr(), "{name}: {why}");
    process::exit(MISUSE)
}

fn sentence<C: Parser>(name: &str, words: &[String], error: &clap::Error) -> String {
    let typed = Typed {
        words,
        error,
        accepts: |words: &[String]| C::try_parse_from([&[name.to_owned()], words].concat()).is_ok(),
    };
    let (wrong, corrected) = typed.mistake();
    let commands: Vec<String> = corrected.iter().map(|words| command(name, words)).collect();
    let usage = typed.usage();
    let help = usage.first().map_or(name, |form| form.split(" [").next().unwrap_or(name));
    let do_this = match error.kind() {
        _ if !commands.is_empty() => format!(": {}", commands.join(" or ")),
        // it is said already
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => String::new(),
        ErrorKind::MissingRequiredArgument => format!(": {}", usage.join(" or ")),
        ErrorKind::UnknownArgument if !wrong.starts_with('-') => format!(": {}", usage.join(" or ")),
        _ => format!(": {help} --help says what there is"),
    };
    visible(&(wrong + &do_this))
}

/// A command line that was refused.
struct Typed<'a, A> {
    words: &'a [String],
    error: &'a clap::Error,
    accepts: A,
}

impl<A: Fn(&[String]) -> bool> Typed<'_, A> {
    /// What is wrong, and what may have been meant.
    fn mistake(&self) -> (String, Vec<Vec<String>>) {
        let word = self.context(ContextKind::InvalidArg);
        match self.error.kind() {
            ErrorKind::UnknownArgument => self.unknown(&word),
            ErrorKind::InvalidSubcommand => {
                let word = self.context(ContextKind::InvalidSubcommand);
                let meant = self.context(ContextKind::SuggestedSubcommand);
                match self.insert(&word, &["run", "--"]) {
                    Some(run) if word.contains('/') => ("to start a program and watch it".into(), vec![run]),
                    _ => (format!("there is no command {word}"), self.replace(&word, &meant)),
                }
            }
            ErrorKind::ArgumentConflict => self.conflict(&word),
            ErrorKind::MissingRequiredArgument => (format!("this needs {word} as well"), Vec::new()),
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                let value = self.context(ContextKind::InvalidValue);
                let valid = self.context(ContextKind::ValidValue);
                let why = std::error::Error::source(self.error).map(ToString::to_string);
                let wrong = match (why, value.is_empty()) {
                    (_, true) => format!("{word} needs its value"),
                    (Some(why), _) => format!("{word} does not take {value:?}: {why}"),
                    (None, _) => format!("{word} does not take {value:?}, only one of {valid}"),
                };
                (wrong, self.replace(&value, &self.context(ContextKind::SuggestedValue)))
            }
            _ => {
                let text = self.error.to_string();
                let first = text.lines().next().unwrap_or_default();
                (first.strip_prefix("error: ").unwrap_or(first).to_owned(), Vec::new())
            }
        }
    }

    fn unknown(&self, word: &str) -> (String, Vec<Vec<String>>) {
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        if !word.starts_with('-')
            && is_number
            && let Some(pid) = self.insert(word, &["--pid"])
        {
            return ("to watch a process that runs, put --pid before its number".into(), vec![pid]);
        }
        if !word.starts_with('-')
            && let Some(run) = self.insert(word, &["--"])
        {
            return ("to start a program, put -- before it".into(), vec![run]);
        }
        let with_run = [&["run".to_owned()], self.words].concat();
        if (self.accepts)(&with_run) {
            return (format!("{word} is of `run`"), vec![with_run]);
        }
        let meant = self.replace(word, &self.context(ContextKind::SuggestedArg));
        (format!("{word} is not known here"), meant)
    }

    /// Two that exclude each other: the same without the one, or without the other.
    fn conflict(&self, one: &str) -> (String, Vec<Vec<String>>) {
        let other = self.context(ContextKind::PriorArg);
        let named = |argument: &str| argument.replace("[COMMAND]...", "-- COMMAND");
        if one == other || other.is_empty() {
            return (format!("{} can be given only once", named(one)), Vec::new());
        }
        let without = [&other, one].map(|left_out| self.without(left_out)).into_iter().flatten();
        (format!("{} and {} exclude each other", named(one), named(&other)), without.collect())
    }

    /// The same without an option and its value, or without the program to start.
    fn without(&self, argument: &str) -> Option<Vec<String>> {
        let (flag, takes_value) =
            argument.split_once(' ').map_or((argument, false), |(flag, _)| (flag, true));
        let mut words = self.words.to_vec();
        if argument.starts_with("[COMMAND]") {
            words.truncate(words.iter().position(|word| word == "--")?);
        } else {
            let at = words.iter().position(|word| word.split('=').next() == Some(flag))?;
            let length = 1 + usize::from(takes_value && words[at] == flag);
            words.drain(at..(at + length).min(words.len()));
        }
        (self.accepts)(&words).then_some(words)
    }

    /// The same with more words before one of them.
    fn insert(&self, word: &str, more: &[&str]) -> Option<Vec<String>> {
        let places = (0..self.words.len()).filter(|at| self.words[*at] == word);
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        places
            .map(|at| [&self.words[..at], &more, &self.words[at..]].concat())
            .find(|words| (self.accepts)(words))
    }

    /// The same with one word, or what is before or behind its `=`, replaced.
    fn replace(&self, word: &str, by: &str) -> Vec<Vec<String>> {
        let replaced = |typed: &String| {
            let parts: Vec<&str> =
                typed.splitn(2, '=').map(|part| if part == word { by } else { part }).collect();
            parts.join("=")
        };
        let words: Vec<String> = self.words.iter().map(replaced).collect();
        if !by.is_empty() && (self.accepts)(&words) { vec![words] } else { Vec::new() }
    }

    fn context(&self, kind: ContextKind) -> String {
        match self.error.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.join(", "),
            _ => String::new(),
        }
    }

    /// The forms that the command takes.
    fn usage(&self) -> Vec<String> {
        let Some(ContextValue::StyledStr(usage)) = self.error.get(ContextKind::Usage) else {
            return Vec::new();
        };
        let usage = usage.to_string();
        usage.lines().map(|line| line.trim_start_matches("Usage:").trim().to_owned()).collect()
    }
}

/// A command as a shell takes it.
fn command(name: &str, words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    let quoted = words.iter().map(|word| match word.is_empty() || !word.chars().all(plain) {
        true => format!("'{}'", word.replace('\'', r"'\''")),
        false => word.clone(),
    });
    [name.to_owned()].into_iter().chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
