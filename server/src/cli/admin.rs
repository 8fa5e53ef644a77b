//! `omnitrace admin`: what an operator does on the machine itself, beside the running server.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::store::Store;

/// `omnitrace admin`.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The server's data directory.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "data",
        env = "OMNITRACE_DATA",
        global = true
    )]
    data: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what visitors reported.
    Reports,
    /// Close a report without doing anything.
    Dismiss {
        /// As `reports` lists it.
        number: i64,
    },
    /// Remove a trace with its files and links, whatever its state. A running server forgets it within half a minute.
    Takedown {
        /// Of the trace: the end of its address, /t/ID.
        id: String,
    },
}

/// Does it.
pub fn run(args: &AdminArgs) -> Result<()> {
    if !args.data.join("omnitrace.sqlite").is_file() {
        bail!(
            "{} is not a data directory of a server: name it with --data",
            args.data.display()
        );
    }
    let store = Store::open_beside(&args.data).context("the data directory cannot be used")?;
    match &args.what {
        What::Reports => {
            let reports = store.reports()?;
            if reports.is_empty() {
                println!("Nobody has reported anything.");
            }
            for report in reports {
                // In one line: what visitors write must not draw on a terminal.
                let reason: String = (report.reason.chars())
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect();
                println!(
                    "{}  /t/{}  {}  {reason}",
                    report.number, report.id, report.created_unix_secs
                );
            }
        }
        What::Dismiss { number } => {
            if !store.dismiss(*number)? {
                bail!("there is no report {number}");
            }
            println!("Report {number} is closed.");
        }
        What::Takedown { id } => {
            if !store.take_down(id)? {
                bail!("there is no trace {id:?}: its id is the end of its address, /t/ID");
            }
            println!("Trace {id} is removed, with its files, links and reports.");
        }
    }
    Ok(())
}
