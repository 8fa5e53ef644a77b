//! `--config FILE`: the options of `omnitrace serve` as lines of a TOML file.
//! In: the command line, the environment, the file. Out: one command line; an option beats the environment, which beats the file.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, value_parser};
use toml::{Table, Value};

/// The subcommand that a file configures.
const CONFIGURED: &str = "serve";
/// The option that names the file.
const FILE: &str = "config";

/// Reads the command line, and the file that it or the environment names. Ends the program where clap does: help, version,
/// and options that are wrong.
pub fn matches(command: Command, arguments: Vec<OsString>) -> Result<ArgMatches> {
    let command = command.arg(
        Arg::new(FILE)
            .long(FILE)
            .global(true)
            .value_name("FILE")
            .env("OMNITRACE_CONFIG")
            .value_parser(value_parser!(PathBuf))
            .help("Settings of `serve` as TOML: its options without the dashes. An option beats the environment, which beats the file"),
    );
    let given = command.clone().get_matches_from(&arguments);
    let Some(path) = given.get_one::<PathBuf>(FILE) else {
        return Ok(given);
    };
    let Some((CONFIGURED, options)) = given.subcommand() else {
        bail!("--config (or OMNITRACE_CONFIG) is for `omnitrace {CONFIGURED}` alone");
    };
    let added = from_file(&command, options, path)?;
    let whole = arguments.into_iter().chain(added);
    command
        .try_get_matches_from(whole)
        .map_err(|error| anyhow::anyhow!("{}: {}", path.display(), sentence(&error)))
}

/// The options that the file gives and nobody else does.
fn from_file(command: &Command, options: &ArgMatches, path: &Path) -> Result<Vec<OsString>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("the settings cannot be read from {}", path.display()))?;
    let settings: Table = text
        .parse()
        .with_context(|| format!("{} is not TOML", path.display()))?;
    let known: Vec<_> = command
        .find_subcommand(CONFIGURED)
        .into_iter()
        .flat_map(Command::get_arguments)
        .filter(|arg| arg.get_id() != "help")
        .collect();
    let mut added = Vec::new();
    for (name, value) in &settings {
        let long = name.replace('_', "-");
        let Some(arg) = known.iter().find(|arg| arg.get_long() == Some(&long)) else {
            let names: Vec<_> = known.iter().filter_map(|arg| arg.get_long()).collect();
            bail!(
                "{}: there is no setting `{name}`; there are: {}",
                path.display(),
                names.join(", ")
            );
        };
        let source = options.value_source(arg.get_id().as_str());
        if !matches!(source, None | Some(ValueSource::DefaultValue)) {
            continue;
        }
        let takes_value = arg.get_action().takes_values();
        for value in values(value) {
            match (takes_value, value) {
                (true, Some(value)) => added.push(format!("--{long}={value}").into()),
                (false, Some(value)) if value == "true" => added.push(format!("--{long}").into()),
                (false, Some(value)) if value == "false" => {}
                (false, _) => bail!("{}: `{name}` is true or false", path.display()),
                (true, None) => bail!(
                    "{}: `{name}` is a text, a number, or a list of them",
                    path.display()
                ),
            }
        }
    }
    Ok(added)
}

/// As words of a command line; none for what cannot stand in one.
fn values(value: &Value) -> Vec<Option<String>> {
    match value {
        Value::Array(list) => list.iter().flat_map(values).collect(),
        Value::String(text) => vec![Some(text.clone())],
        Value::Integer(number) => vec![Some(number.to_string())],
        Value::Float(number) => vec![Some(number.to_string())],
        Value::Boolean(yes) => vec![Some(yes.to_string())],
        Value::Datetime(_) | Value::Table(_) => vec![None],
    }
}

/// The first line of clap's message, without its heading.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::cli::{Cli, Command as Asked};
    use crate::config::ServeConfig;

    fn read(file: &str, arguments: &[&str]) -> Result<ServeConfig> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("omnitrace.toml");
        fs::write(&path, file)?;
        let mut line: Vec<OsString> = vec!["omnitrace".into(), "--config".into(), path.into()];
        line.push("serve".into());
        line.extend(arguments.iter().map(OsString::from));
        let cli = Cli::from_arg_matches(&matches(Cli::command(), line)?)?;
        match cli.command {
            Asked::Serve(config) => Ok(*config),
            other => bail!("{other:?}"),
        }
    }

    #[test]
    fn an_option_beats_the_file_and_the_file_beats_the_default() {
        let file =
            "listen = \"127.0.0.1:4000\"\nqueue = 7\nmodel = [\"a\", \"b\"]\nno_examples = true\n";
        let config = read(file, &["--queue", "9"]).expect("settings");
        assert_eq!(config.listen.port(), 4000);
        assert_eq!(config.queue, 9);
        assert_eq!(config.models.wanted, ["a", "b"]);
        assert!(config.no_examples);
        let config = read(file, &["--model", "c"]).expect("settings");
        assert_eq!(config.models.wanted, ["c"]);
        assert_eq!(config.queue, 7);
        assert_eq!(read("", &[]).expect("settings").queue, 32);
    }

    #[test]
    fn what_is_wrong_in_the_file_is_said_in_a_sentence() {
        let said = |file: &str| format!("{:#}", read(file, &[]).expect_err("refused"));
        let unknown = said("quue = 3");
        assert!(unknown.contains("no setting `quue`") && unknown.contains("queue"));
        assert!(said("queue = \"many\"").contains("'many'"));
        assert!(said("queue = 3 =").contains("is not TOML"));
        assert!(said("no-examples = 3").contains("true or false"));
        assert!(said("listen = 2024-01-01").contains("a text, a number"));
    }
}
