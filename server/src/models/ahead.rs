//! Files of models on the hub, fetched on a thread of their own from the start: nobody who asks for another model waits.

use std::sync::Arc;

use app::data::ModelState;

use super::pool::ModelStates;
use super::spec::ModelSpec;
use crate::error::ServerError;

/// Fetches one after the other; each is `Fetching` until its files are here. The caller may drop the handle.
pub fn fetch_ahead(
    specs: Vec<ModelSpec>,
    states: Arc<ModelStates>,
    fetch: impl Fn(&ModelSpec) -> Result<(), ServerError> + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, ServerError> {
    for spec in &specs {
        states.set(&spec.name, ModelState::Fetching);
    }
    let spawned = std::thread::Builder::new()
        .name("fetch".into())
        .spawn(move || {
            for spec in &specs {
                let state = match fetch(spec) {
                    Ok(()) => ModelState::Unloaded,
                    Err(error) => {
                        tracing::error!(model = %spec.name, %error, "could not be fetched");
                        ModelState::Failed
                    }
                };
                states.set(&spec.name, state);
            }
        });
    spawned.map_err(|_| ServerError::Lost("a thread"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::models::spec;

    #[test]
    fn a_model_is_fetching_until_its_files_are_here() {
        let specs = ["Qwen/One", "Qwen/Two"].map(|id| spec(id).expect("an id"));
        let states = Arc::new(ModelStates::default());
        let (go, wait) = mpsc::channel::<Result<(), ServerError>>();
        let fetching = fetch_ahead(specs.to_vec(), states.clone(), move |_| {
            wait.recv().expect("told to go on")
        })
        .expect("a thread");
        assert_eq!(states.of("Qwen/One"), ModelState::Fetching);
        assert_eq!(states.of("Qwen/Two"), ModelState::Fetching);
        go.send(Ok(())).expect("fetching");
        go.send(Err(ServerError::Lost("the hub")))
            .expect("fetching");
        fetching.join().expect("no panic");
        assert_eq!(states.of("Qwen/One"), ModelState::Unloaded);
        assert_eq!(states.of("Qwen/Two"), ModelState::Failed);
    }
}
