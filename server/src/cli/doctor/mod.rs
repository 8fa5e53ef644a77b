//! `omnitrace doctor`: looks a machine and a deployment over. Out: a sentence per finding, and what to do about it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

mod deployment;
mod machine;

/// `omnitrace doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The server's data directory.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "data",
        env = "OMNITRACE_DATA"
    )]
    data: PathBuf,
    /// Models that the server shall offer; the first is loaded and tried. Default: the tiny model inside this program.
    #[arg(
        long = "model",
        value_name = "DIR|ID",
        env = "OMNITRACE_MODEL",
        value_delimiter = ','
    )]
    models: Vec<String>,
    /// Do not load a model.
    #[arg(long)]
    no_model: bool,
    /// Address of a running server, as visitors reach it: through its proxy. A small example is traced there and deleted.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// An API token, where that server wants one of programs.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "OMNITRACE_API_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, but somebody should have a look.
    Look,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    verdict: Verdict,
    sentence: String,
}

fn good(sentence: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Good,
        sentence: sentence.into(),
    }
}

fn look(sentence: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Look,
        sentence: sentence.into(),
    }
}

fn bad(sentence: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Bad,
        sentence: sentence.into(),
    }
}

/// Looks, and fails when something is bad.
pub fn run(args: &DoctorArgs) -> Result<()> {
    let mut findings = machine::look_over(args);
    if let Some(url) = &args.url {
        findings.extend(deployment::look_over(
            url.trim_end_matches('/'),
            args.token.as_deref(),
        ));
    }
    let count = |verdict| {
        findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    };
    for finding in &findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok  ",
            Verdict::Look => "look",
            Verdict::Bad => "BAD ",
        };
        println!("{mark}  {}", finding.sentence);
    }
    match (count(Verdict::Bad), count(Verdict::Look)) {
        (0, 0) => println!("Everything is as it should be."),
        (0, n) => println!("It will work; {n} of these want a look."),
        (n, _) => bail!("{n} of these must be put right first"),
    }
    Ok(())
}
