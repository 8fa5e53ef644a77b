//! The report as tables for a terminal.

use std::fmt::Write;

use app::evaluation::Figure;

use super::super::marks::Marks;
use super::{Estimate, RESAMPLINGS, Report};

impl Report {
    /// For people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let last = self.seed.wrapping_add(self.n - 1);
        let _ = writeln!(
            out,
            "{} ({}), split {}, seeds {}..={last}; mean over samples [95 % by {RESAMPLINGS} resamplings]\n",
            self.model,
            self.model_hash,
            self.split.name(),
            self.seed
        );
        for task in &self.tasks {
            let _ = writeln!(
                out,
                "{}  n {}  answers {}  sentences {}",
                task.task.name(),
                task.n,
                shown(task.answer),
                shown(task.sentence)
            );
            let named: Vec<usize> = (0..Marks::NAMES.len())
                .filter(|k| task.scores.iter().any(|own| own.all[*k].is_some()))
                .collect();
            for (which, correct) in [("all sentences", false), ("right sentences", true)] {
                let _ = write!(out, "  {which:<24}");
                for k in &named {
                    let _ = write!(out, "{:<22}", Marks::NAMES[*k]);
                }
                out.push('\n');
                for own in &task.scores {
                    let marks = if correct { &own.correct } else { &own.all };
                    if marks.iter().all(Option::is_none) {
                        continue;
                    }
                    let _ = write!(out, "    {:<12}{:<10}", own.method, own.unit_score);
                    for k in &named {
                        let _ = write!(out, "{:<22}", shown(marks[*k]));
                    }
                    out.push('\n');
                }
            }
            out.push('\n');
        }
        self.more_tables(&mut out);
        out
    }

    fn more_tables(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "mean over tasks of text, image and time F1 on right sentences"
        );
        for ((method, unit_score), mean) in self.overall() {
            let _ = writeln!(out, "    {method:<12}{unit_score:<10}{:.1}", 100.0 * mean);
        }
        let _ = writeln!(
            out,
            "\nablations of attmean sum, right sentences: precision, recall, F1\n    {:<24}{:<22}{:<22}{:<22}{:<22}",
            "", "text", "image", "audio", "video"
        );
        for own in &self.ablations {
            let _ = write!(out, "    {:<24}", own.name);
            for scores in own.scores {
                let cell = scores.map_or_else(
                    || "-".to_owned(),
                    |[p, r, f1]| format!("{p:.1} {r:.1} {f1:.1}"),
                );
                let _ = write!(out, "{cell:<22}");
            }
            out.push('\n');
        }
        let _ = writeln!(
            out,
            "\ncitations lie at {:.2} of the sources on average, true sources at {:.2}",
            self.analysis.mean_position, self.analysis.true_mean_position
        );
        if self.asked[0] > 0 {
            let _ = writeln!(
                out,
                "asked itself in {} samples, the model replied in the form {} times",
                self.asked[0], self.asked[1]
            );
        }
        if !self.removal.is_empty() {
            let _ = writeln!(
                out,
                "\nremoval, nats     sentences  larger than random     fall                   random                 \
                 only what is cited     deletion area          insertion area         rank correlation"
            );
        }
        for own in &self.removal {
            let cell = |figure: Option<Figure>| {
                figure.map_or_else(
                    || "-".to_owned(),
                    |[mean, low, high]| format!("{mean:.2} [{low:.2}, {high:.2}]"),
                )
            };
            let _ = write!(out, "    {:<14}{:<11}", own.task, own.chunks);
            for figure in [
                own.larger,
                own.fall,
                own.random_fall,
                own.only_fall,
                own.deletion_area,
                own.insertion_area,
                own.rank_correlation,
            ] {
                let _ = write!(out, "{:<23}", cell(figure));
            }
            out.push('\n');
        }
    }
}

fn shown(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "-".to_owned(),
        |e| format!("{:.3} [{:.3}, {:.3}]", e.mean, e.low, e.high),
    )
}
