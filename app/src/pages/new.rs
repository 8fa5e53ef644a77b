//! `/new`: compose a request.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::alive::Alive;
use crate::compose::Composer;
use crate::data::{ComposeView, lent};
use crate::pages::missing::LoadFailed;

/// The composer with its limits.
#[component]
pub fn New() -> impl IntoView {
    let Some(lent) = lent() else {
        return view! { <LoadFailed/> }.into_any();
    };
    let data = ComposeView {
        models: lent.models(),
        limits: lent.limits(),
    };
    view! {
        <Title text="New trace"/>
        <section class="compose">
            <h1>"New trace"</h1>
            <p class="lead">"An instruction, then any mix of words, pictures, sounds and films, in the order in which the model shall read them."</p>
            <p><a href="/world">"Draw a picture, arrange sounds or cut a clip here"</a>" for the small model, and see truth against trace."</p>
            <Alive part="compose" data=data.clone()>
                <Composer data/>
            </Alive>
        </section>
    }
    .into_any()
}
