//! The pages: server-rendered by `app`, with what [`PageData`] lends them.

use std::sync::{Arc, LazyLock};

use app::beside::{Lineage, TruthView};
use app::data::{GalleryCard, LimitsView, ModelView, PageData, PolicyView, TraceStatus, TraceView};
use app::evaluation::Evaluation;
use attribution::record::{Record, SourceItem};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{
    LeptosRoutes, ResponseOptions, generate_route_list, render_app_async_with_context,
};

use super::models::limits_view;
use super::{AppState, entry, kin};
use crate::error::ServerError;
use crate::jobs::Place;
use crate::store::{self, State as Stored};

/// Every page, and the files they load.
pub fn router(state: &AppState) -> Router<AppState> {
    let routes = generate_route_list(app::App);
    let options = state.leptos.clone();
    let context = page_context(state.clone());
    Router::new()
        .leptos_routes_with_context(state, routes, context, move || app::shell(options.clone()))
        .fallback(file_or_not_found)
        .layer(middleware::from_fn(entry::give_cookie))
}

/// A file of the page, else the page that says there is none.
async fn file_or_not_found(State(state): State<AppState>, request: Request) -> Response {
    if let Some(file) = state.assets.get(request.uri().path(), request.headers()) {
        return file;
    }
    let mut response = render(state, request).await;
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// The page at a request's address.
pub async fn render(state: AppState, request: Request) -> Response {
    let options = state.leptos.clone();
    let render =
        render_app_async_with_context(page_context(state), move || app::shell(options.clone()));
    render(request).await.into_response()
}

/// What every render is given. Status and policy are the page's own business.
fn page_context(state: AppState) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        provide_context::<Arc<dyn PageData>>(Arc::new(state.clone()));
        if let Some(response) = use_context::<ResponseOptions>() {
            // What a page shows changes while traces are made.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
    }
}

impl PageData for AppState {
    fn trace(&self, id: &str) -> Option<TraceView> {
        view(self, id).unwrap_or_else(|error| {
            tracing::error!(%id, %error, "a trace cannot be shown");
            None
        })
    }

    fn gallery(&self) -> Vec<GalleryCard> {
        self.gallery
            .iter()
            .filter_map(|slot| self.card(&slot.id))
            .collect()
    }

    fn models(&self) -> Vec<ModelView> {
        self.depot.models()
    }

    fn limits(&self) -> LimitsView {
        limits_view(self)
    }

    fn policy(&self) -> PolicyView {
        self.policy.clone()
    }

    fn truth(&self, id: &str) -> Option<TruthView> {
        let found = || -> Result<Option<TruthView>, ServerError> {
            let Some(truth) = self.depot.truth(id)? else {
                return Ok(None);
            };
            let json = self.depot.record_json(id)?;
            let record: Option<Record> = json
                .map(|json| store::from_json("record", &json))
                .transpose()?;
            Ok(record.map(|record| crate::truth::compare(&record, &truth)))
        };
        found().unwrap_or_else(|error| {
            tracing::error!(%id, %error, "a truth cannot be shown");
            None
        })
    }

    fn lineage(&self, id: &str) -> Lineage {
        kin::lineage(&*self.depot, id).unwrap_or_else(|error| {
            tracing::error!(%id, %error, "a trace's kin cannot be shown");
            Lineage::default()
        })
    }

    fn evaluation(&self) -> Option<Arc<Evaluation>> {
        static SHIPPED: LazyLock<Option<Arc<Evaluation>>> = LazyLock::new(|| {
            let json = include_str!("../../../models/evaluation.json");
            match serde_json::from_str(json) {
                Ok(found) => Some(found)
                    .filter(|found: &Evaluation| !found.tasks.is_empty())
                    .map(Arc::new),
                Err(error) => {
                    tracing::error!(%error, "the shipped figures cannot be read");
                    None
                }
            }
        });
        SHIPPED.clone()
    }
}

fn view(state: &AppState, id: &str) -> Result<Option<TraceView>, ServerError> {
    let Some(stored) = state.depot.load(id)? else {
        return Ok(None);
    };
    let (status, record) = match stored.state {
        Stored::Finished => match state.depot.record_json(id)? {
            Some(json) => (
                TraceStatus::Finished,
                Some(store::from_json::<Record>("record", &json)?),
            ),
            None => return Ok(None),
        },
        Stored::Failed { message, .. } => (TraceStatus::Failed { message }, None),
        Stored::Open => match state.depot.place(id) {
            Some(Place::Queued(position)) => (TraceStatus::Queued { position }, None),
            _ => (TraceStatus::Running, None),
        },
    };
    Ok(Some(TraceView {
        id: id.to_owned(),
        status,
        request: stored.request,
        record,
        task: stored.task,
    }))
}

impl AppState {
    /// A card of the gallery; kept once its trace is finished.
    fn card(&self, id: &str) -> Option<GalleryCard> {
        if let Some(card) = self.cards.lock().ok()?.get(id) {
            return Some(card.clone());
        }
        let view = self.trace(id)?;
        let card = make_card(&view);
        if view.record.is_some() {
            self.cards.lock().ok()?.insert(id.to_owned(), card.clone());
        }
        Some(card)
    }
}

fn make_card(view: &TraceView) -> GalleryCard {
    let texts = view.request.items.iter().filter_map(|item| match item {
        app::data::ItemView::Text { text } => Some(text.as_str()),
        _ => None,
    });
    let question = texts
        .flat_map(str::lines)
        .map(str::trim)
        .find(|line| line.ends_with('?'));
    let mut card = GalleryCard {
        id: view.id.clone(),
        task: view.task.clone(),
        question: question.unwrap_or(view.request.prompt.trim()).to_owned(),
        first_sentence: String::new(),
        thumbnail: None,
        peaks: Vec::new(),
    };
    let Some(record) = &view.record else {
        return card;
    };
    if let Some(chunk) = record.chunks.first() {
        let sentence = record
            .response
            .get(chunk.start as usize..chunk.end as usize);
        card.first_sentence = sentence.unwrap_or_default().trim().to_owned();
    }
    card.thumbnail = record.sources.iter().find_map(|source| match &source.item {
        SourceItem::Image { media, .. } => Some(media.clone()),
        SourceItem::Video { thumbnails, .. } => thumbnails.get(thumbnails.len() / 2).cloned(),
        _ => None,
    });
    if card.thumbnail.is_none() {
        card.peaks = record
            .sources
            .iter()
            .find_map(|source| match &source.item {
                SourceItem::Audio { peaks, .. } => Some(peaks.clone()),
                _ => None,
            })
            .unwrap_or_default();
    }
    card
}
