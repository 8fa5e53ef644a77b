//! The machine itself: directory, disk, memory, clock, ffmpeg, page, model.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::{DoctorArgs, Finding, bad, good, look};
use crate::assets::Assets;
use crate::clock::Clock;
use crate::config::Limits;
use crate::device::warm_up;
use crate::models::memory::shown;
use crate::models::{self, ModelPool};
use crate::store::Store;

/// Less free disk than this is soon none.
const LITTLE_DISK_BYTES: u64 = 2 << 30;

/// This program was not yet written.
const EARLIEST_UNIX_SECS: u64 = 1_735_689_600;

pub(super) fn look_over(args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = directory(&args.data);
    findings.extend(disk(&args.data));
    findings.push(clock());
    findings.extend(ffmpeg());
    findings.push(page());
    if !args.no_model {
        findings.push(model(&args.models));
    }
    findings
}

fn directory(data: &Path) -> Vec<Finding> {
    let shown = data.display();
    if let Err(error) = std::fs::create_dir_all(data) {
        return vec![bad(format!(
            "The data directory {shown} cannot be made ({error}): make it, and give it to the user who runs the server."
        ))];
    }
    let mut findings = Vec::new();
    match tempfile::tempfile_in(data) {
        Ok(_) => findings.push(good(format!("The data directory {shown} can be written."))),
        Err(error) => findings.push(bad(format!(
            "The data directory {shown} cannot be written ({error}): `chown` it to the user who runs the server."
        ))),
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::metadata(data).is_ok_and(|dir| dir.permissions().mode() & 0o007 != 0);
        if open {
            findings.push(look(format!(
                "Every user of this machine can read {shown}, with all that visitors sent: `chmod o-rwx {shown}`."
            )));
        }
    }
    if data.join("omnitrace.sqlite").is_file() {
        findings.push(database(data));
    }
    findings
}

fn database(data: &Path) -> Finding {
    let checked = Store::open_beside(data).and_then(|store| store.check());
    match checked {
        Ok(None) => good("The database is whole."),
        Ok(Some(fault)) => bad(format!(
            "The database is damaged ({fault}): stop the server and restore {} from a backup.",
            data.join("omnitrace.sqlite").display()
        )),
        Err(error) => bad(format!("The database cannot be opened: {error}.")),
    }
}

#[cfg(unix)]
fn disk(data: &Path) -> Option<Finding> {
    let found = rustix::fs::statvfs(data).ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    Some(if free < LITTLE_DISK_BYTES {
        look(format!(
            "Only {} of disk are free: make room, or bound what is kept with --disk-quota.",
            shown(free)
        ))
    } else {
        good(format!("{} of disk are free.", shown(free)))
    })
}

#[cfg(not(unix))]
fn disk(_data: &Path) -> Option<Finding> {
    None
}

fn clock() -> Finding {
    if Clock::default().now_unix_secs() < EARLIEST_UNIX_SECS {
        return bad(
            "The clock of this machine is years behind: set it (`timedatectl set-ntp true`), or traces will not be kept as promised.",
        );
    }
    good("The clock shows a possible time.")
}

fn ffmpeg() -> Vec<Finding> {
    let Ok(output) = Command::new("ffmpeg").arg("-version").output() else {
        return vec![look(
            "There is no ffmpeg: WebM, HEVC, Opus and some more are refused. Install it if visitors shall send such (Debian: `apt install ffmpeg`).",
        )];
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said
        .split_whitespace()
        .nth(2)
        .unwrap_or("of an unknown version");
    let mut findings = vec![good(format!(
        "ffmpeg {version} reads what this program does not."
    ))];
    let fences = media::fences();
    if !fences.files {
        findings.push(look(
            "This kernel cannot fence ffmpeg off from other files (Landlock; Linux 5.13 or newer). Run the server in a container or under a user that can read nothing else.",
        ));
    }
    if !fences.network {
        findings.push(look(
            "This machine does not let ffmpeg be cut off from the network (user name spaces are off). Let systemd do it for the whole service (`IPAddressDeny=any`, with what you need allowed).",
        ));
    }
    if fences.files && fences.network {
        findings.push(good(
            "ffmpeg runs without a network and without files but its input.",
        ));
    }
    findings
}

fn page() -> Finding {
    if Assets::Inside.complete() {
        return good("The page's scripts and styles are inside this program.");
    }
    look(
        "The page's scripts and styles are not inside this program: pages can be read, but not hovered. Build with `cargo xtask build`, or serve them with --site.",
    )
}

fn model(wanted: &[String]) -> Finding {
    let begun = Instant::now();
    let tried = models::specs(wanted).map_err(|error| error.to_string());
    let tried = tried.and_then(|specs| {
        let name = match specs.first() {
            Some(spec) => spec.name.clone(),
            None => return Err("there is none".to_owned()),
        };
        let mut pool = ModelPool::new(specs, None, models::memory::default_bytes());
        let took = pool
            .get(&name, None)
            .and_then(|loaded| warm_up(loaded, &Limits::default()));
        took.map(|took| (name, took))
            .map_err(|error| error.to_string())
    });
    match tried {
        Ok((name, took)) => good(format!(
            "The model {name} loads and writes: {:.1} s to be ready, {:.0} tokens a second.",
            begun.elapsed().as_secs_f64(),
            f64::from(took.tokens) / took.answer_secs.max(1e-9)
        )),
        Err(error) => bad(format!("The model does not work: {error}.")),
    }
}
