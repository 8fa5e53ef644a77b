//! `/new`: compose a request.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::compose::Composer;
use crate::load::load_compose;
use crate::pages::missing::LoadFailed;

/// The composer with its limits.
#[component]
pub fn New() -> impl IntoView {
    let data = Resource::new_blocking(|| (), |()| load_compose());
    view! {
        <Title text="New trace"/>
        <section class="compose">
            <h1>"New trace"</h1>
            <p class="lead">"An instruction, then any mix of words, pictures, sounds and films, in the order in which the model shall read them."</p>
            <Suspense fallback=|| view! { <p class="waiting">"Loading the limits …"</p> }>
                {move || Suspend::new(async move {
                    match data.await {
                        Ok(data) => view! { <Composer data/> }.into_any(),
                        Err(_) => view! { <LoadFailed/> }.into_any(),
                    }
                })}
            </Suspense>
        </section>
    }
    .into_any()
}
