//! Builds the page's files into target/site: `frontend` as wasm, its JavaScript, the style, `public`; and weighs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::shell::{self, Cargo};

/// Packages that become wasm modules, and the modules' names.
const MODULES: [(&str, &str); 4] = [
    ("frontend", "omnitrace"),
    ("frontend-compose", "compose"),
    ("frontend-world", "world"),
    ("frontend-scope", "scope"),
];

/// What a page that shows a trace loads besides its HTML and media.
const VIEWER: [&str; 4] = [
    "pkg/omnitrace_bg.wasm",
    "pkg/omnitrace.js",
    "pkg/omnitrace.css",
    "boot.js",
];
/// What other pages load, or a trace page on first use.
const OTHERS: [&str; 6] = [
    "pkg/compose_bg.wasm",
    "pkg/compose.js",
    "pkg/scope_bg.wasm",
    "pkg/scope.js",
    "pkg/world_bg.wasm",
    "pkg/world.js",
];

/// Most bytes of these, compressed.
const MAX_VIEWER_BYTES: u64 = 300_000;

/// Makes target/site whole and new.
pub fn build() -> Result<()> {
    shell::say("building the page (wasm); the first time takes about 2 minutes on 2 cores");
    let mut build = Cargo::new("build", "the page");
    for (package, _) in MODULES {
        build = build.args(["-p", package]);
    }
    build
        .args(["--target", "wasm32-unknown-unknown"])
        .args(["--profile", "wasm-release", "--target-dir", "target/wasm"])
        .run()?;
    let root = shell::root();
    let site = root.join("target/site");
    let pkg = site.join("pkg");
    if site.exists() {
        fs::remove_dir_all(&site).context("cannot empty target/site")?;
    }
    fs::create_dir_all(&pkg).context("cannot make target/site/pkg")?;
    for (package, name) in MODULES {
        let file = package.replace('-', "_") + ".wasm";
        let mut module = Bindgen::new()
            .input_path(
                root.join("target/wasm/wasm32-unknown-unknown/wasm-release")
                    .join(file),
            )
            .out_name(name)
            .web(true)?
            .typescript(false)
            .generate_output()
            .context("wasm-bindgen")?;
        let wasm = module.wasm_mut();
        for export in wasm
            .exports
            .iter()
            .filter(|own| is_dead(&own.name))
            .map(|own| own.id())
            .collect::<Vec<_>>()
        {
            wasm.exports.delete(export);
        }
        module.emit(&pkg).context("wasm-bindgen")?;
        let glue = pkg.join(format!("{name}.js"));
        let text = fs::read_to_string(&glue).context("wasm-bindgen's JavaScript")?;
        fs::write(&glue, slim(&text)).context("wasm-bindgen's JavaScript")?;
        optimise(&pkg.join(format!("{name}_bg.wasm")))?;
    }
    for (from, to) in [("main.css", "omnitrace.css"), ("world.css", "world.css")] {
        let style = fs::read_to_string(root.join("style").join(from)).context(from)?;
        fs::write(pkg.join(to), slim_style(&style)).context(to)?;
    }
    // Fetched by the page /world when something is to be spoken.
    fs::copy(root.join("world/assets/words.bank"), pkg.join("words.bank"))
        .context("world/assets/words.bank")?;
    copy_tree(&root.join("public"), &site)?;
    compress(&site)?;
    weigh(&site)
}

/// Exports that nothing of ours calls: byte streams of a library below Leptos. What they alone reach is a fortieth of the
/// viewer and half of the magnifier; without them the optimiser finds it unused.
fn is_dead(export: &str) -> bool {
    [
        "intounderlying",
        "__wbg_intounderlying",
        "_WASM_SPLIT_MARKER",
    ]
    .iter()
    .any(|name| export.starts_with(name))
}

/// Without comments, indentation and the classes of dead exports.
fn slim(glue: &str) -> String {
    let mut out = String::with_capacity(glue.len());
    let mut dead = false;
    for line in glue.lines() {
        dead |= line.starts_with("export class IntoUnderlying");
        let text = line.trim();
        let comment = ["//", "/*", "*"].iter().any(|sign| text.starts_with(sign));
        if !(dead || comment || text.is_empty()) {
            out.push_str(text);
            out.push('\n');
        }
        // A class ends with its brace in the first column.
        dead &= line != "}";
    }
    // What stood behind each class.
    let lines = out.lines();
    let kept = lines.filter(|line| !line.starts_with("if (Symbol.dispose) IntoUnderlying"));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Without comments and the space that only people need.
fn slim_style(css: &str) -> String {
    let mut out = String::with_capacity(css.len());
    let mut rest = css;
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
            continue;
        }
        let taken = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            first if first.is_whitespace() => {
                let after = rest.trim_start();
                let joins = |c: char| "{}>".contains(c);
                let needed = !out.ends_with(['{', '}', ';', ',', ':', '>'])
                    && !after.starts_with(joins)
                    && !after.starts_with("/*");
                if needed && !out.is_empty() && !after.is_empty() {
                    out.push(' ');
                }
                rest = after;
                continue;
            }
            first => first.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

/// wasm-opt of npm's binaryen. Debian's (version 108) exits 0 and breaks the module, so it is never used.
fn optimise(wasm: &Path) -> Result<()> {
    let wasm_opt = shell::root().join("end2end/node_modules/.bin/wasm-opt");
    let optimised = wasm.with_extension("opt");
    shell::run(
        Command::new(&wasm_opt)
            .arg(wasm)
            .args([
                "-Oz",
                "--converge",
                "--strip-debug",
                "--strip-producers",
                "-o",
            ])
            .arg(&optimised),
        "wasm-opt",
    )?;
    fs::rename(&optimised, wasm).context("cannot replace the wasm by the optimised one")
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Writes NAME.br beside every text and wasm file: browsers get these.
fn compress(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            compress(&path)?;
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        if !matches!(ending, Some("js" | "wasm" | "css" | "svg")) {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("{}", path.display()))?;
        let mut small = Vec::new();
        let options = brotli::enc::BrotliEncoderParams {
            quality: 11,
            lgwin: 22,
            size_hint: bytes.len(),
            ..Default::default()
        };
        brotli::BrotliCompress(&mut bytes.as_slice(), &mut small, &options).context("brotli")?;
        let mut name = path.into_os_string();
        name.push(".br");
        fs::write(&name, small).with_context(|| format!("{}", name.display()))?;
    }
    Ok(())
}

/// What a trace page loads, compressed, against [`MAX_VIEWER_BYTES`].
fn weigh(site: &Path) -> Result<()> {
    let mut viewer = 0;
    for name in VIEWER.into_iter().chain(OTHERS) {
        let size = |name: &str| {
            let bytes = fs::metadata(site.join(name)).with_context(|| name.to_owned());
            bytes.map(|file| file.len())
        };
        let (bytes, small) = (size(name)?, size(&format!("{name}.br"))?);
        ensure!(bytes > 0, "{name} is empty");
        println!(
            "    {name}: {} KB, {} KB compressed",
            bytes.div_ceil(1000),
            small.div_ceil(1000)
        );
        if VIEWER.contains(&name) {
            viewer += small;
        }
    }
    println!("    a trace page: {} KB compressed", viewer.div_ceil(1000));
    ensure!(
        viewer <= MAX_VIEWER_BYTES,
        "a trace page loads {viewer} bytes of wasm, JavaScript and style, {MAX_VIEWER_BYTES} are the limit: \
         move what few visitors need into a module of its own, or do without"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{slim, slim_style};

    #[test]
    fn a_style_keeps_what_counts() {
        let css = "/* a */\n:root { --x: light-dark(#fff, #000); }\n.a :is(.b, .c) > p::after { content: \"{ a;  b }\"; margin: 0 calc(1px + 2px); }\n";
        assert_eq!(
            slim_style(css),
            ":root{--x:light-dark(#fff,#000);}.a :is(.b,.c)>p::after{content:\"{ a;  b }\";margin:0 calc(1px + 2px);}"
        );
    }

    #[test]
    fn glue_loses_dead_classes_alone() {
        let glue = "export class IntoUnderlyingSink {\n    free() {\n    }\n}\nif (Symbol.dispose) IntoUnderlyingSink.prototype[Symbol.dispose] = 1;\n\n/**\n * Called.\n */\nexport function wake() {\n    wasm.wake();\n}\n";
        assert_eq!(slim(glue), "export function wake() {\nwasm.wake();\n}\n");
    }
}
