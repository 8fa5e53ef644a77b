//! One file per route.

mod about;
mod evaluation;
mod home;
pub mod missing;
mod new;
mod privacy;
mod report;
mod trace;
mod world;

pub use about::About;
pub use evaluation::Eval;
pub use home::Home;
pub use missing::Missing;
pub use new::New;
pub use privacy::Privacy;
pub use report::ReportPage;
pub use trace::{ComparePage, DeletePage, EmbedPage, StagePage, TracePage};
pub use world::World;
