//! Source units, layouts, traces, curation and records: the crate every other one shares.
