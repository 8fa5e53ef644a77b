//! The page: Leptos components, server-rendered and hydrated.
