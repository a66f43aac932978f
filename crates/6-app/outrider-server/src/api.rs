//! HTTP API: routes, what they say and hear, and the document that tells others.

mod app;
mod dashboard;
pub mod dto;
mod error;
mod explain;
mod extract;
mod guard;
mod handler;
mod openapi;
pub mod route;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{MethodRouter, delete, get, patch, post};
use outrider_ingest::FEED_BODY_BYTES_MAX;
use outrider_wire::limits::ARTIFACT_BYTES_MAX;

pub use app::App;
pub use error::ApiFailure;
pub use guard::CSRF_HEADER;
pub(crate) use handler::fleet::read_overview;
pub(crate) use handler::platform::read_health;
pub use openapi::openapi_json;

use handler::{
    alert, case, completeness, feed, fleet, platform, quarantine, registry, reveal, session, stop, stream,
    update, user, vehicle, vehicle_identity,
};
use route::Operation;

/// Cookie that carries the session's token.
pub const SESSION_COOKIE: &str = "outrider_session";
/// Largest JSON body: ten thousand ids of a selection and a note.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Makes the router: every operation behind its guard, the dashboard behind all others.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for operation in Operation::ALL {
        let route = operation.route();
        let guarded = middleware::from_fn_with_state((app.clone(), route), guard::guard);
        router = router.route(route.path, handler(*operation).route_layer(guarded));
    }
    router
        .fallback(dashboard::serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard::headers))
        .with_state(app)
}

/// Handler of an operation, under its method.
fn handler(operation: Operation) -> MethodRouter<Arc<App>> {
    match operation {
        Operation::Livez => get(session::livez),
        Operation::ShowMetrics => get(platform::metrics),
        Operation::Login => post(session::login),
        Operation::ShowSession => get(session::show),
        Operation::Logout => delete(session::logout),
        Operation::ChangePassword => post(session::change_password),
        Operation::ShowOverview => get(fleet::overview),
        Operation::ListAlerts => get(alert::list),
        Operation::ShowAlert => get(alert::show),
        Operation::ActOnAlerts => post(alert::act),
        Operation::ListCases => get(case::list),
        Operation::CreateCase => post(case::create),
        Operation::ShowCase => get(case::show),
        Operation::AddAlertsToCase => post(case::add_alerts),
        Operation::AddNote => post(case::add_note),
        Operation::CloseCase => post(case::close),
        Operation::RequestEvidence => post(case::request_evidence),
        Operation::FetchEvidence => get(case::fetch_evidence),
        Operation::ListVehicles => get(vehicle::list),
        Operation::ListUnregistered => get(vehicle::unregistered),
        Operation::RequestReveal => post(reveal::request),
        Operation::ListReveals => get(reveal::list),
        Operation::ApproveReveal => post(reveal::approve),
        Operation::OpenReveal => post(reveal::open),
        Operation::ShredVehicle => post(reveal::shred),
        Operation::ImportVehicles => post(registry::import),
        Operation::ChangeMonitoringStage => post(registry::change_stage),
        Operation::ShowVehicle => get(vehicle::show),
        Operation::ListVehicleEvents => get(vehicle::timeline),
        Operation::ShowCompleteness => get(completeness::vehicle),
        Operation::ShowIngestHealth => get(completeness::ingest),
        Operation::ShowVehicleIdentity => get(vehicle_identity::show),
        Operation::SuspendVehicle => post(vehicle_identity::suspend),
        Operation::ResumeVehicle => post(vehicle_identity::resume),
        Operation::RevokeVehicle => post(vehicle_identity::revoke),
        Operation::ListIdentityLog => get(vehicle_identity::log),
        Operation::ShowVehicleConfiguration => get(update::configuration),
        Operation::ListArtifactKeys => get(update::keys),
        Operation::ListArtifacts => get(update::artifacts),
        Operation::UploadArtifact => post(update::upload).layer(DefaultBodyLimit::max(ARTIFACT_BYTES_MAX)),
        Operation::ShowArtifact => get(update::artifact),
        Operation::ListRollouts => get(update::rollouts),
        Operation::ProposeRollout => post(update::propose),
        Operation::ShowRollout => get(update::rollout),
        Operation::ConfirmRollout => post(update::confirm),
        Operation::CancelRollout => post(update::cancel),
        Operation::ReceiveFeed => post(feed::receive).layer(DefaultBodyLimit::max(FEED_BODY_BYTES_MAX)),
        Operation::ListFeeds => get(feed::list),
        Operation::ListDecoders => get(feed::decoders),
        Operation::CreateFeed => post(feed::create),
        Operation::ChangeFeed => post(feed::change),
        Operation::RotateFeedCredential => post(feed::rotate),
        Operation::ShowFleetMap => get(fleet::map),
        Operation::ListRegions => get(fleet::regions),
        Operation::ShowHealth => get(platform::health),
        Operation::ListQuarantine => get(quarantine::list),
        Operation::ShowQuarantineSummary => get(quarantine::summary),
        Operation::FetchQuarantine => get(quarantine::fetch),
        Operation::ReplayQuarantine => post(quarantine::replay),
        Operation::ListUnclassified => get(quarantine::unclassified),
        Operation::ListRules => get(platform::rules),
        Operation::ShowCatalogue => get(platform::show_catalogue),
        Operation::ListUsers => get(user::list),
        Operation::CreateUser => post(user::create),
        Operation::UpdateUser => patch(user::update),
        Operation::RunSql => post(platform::sql),
        Operation::ShowStop => get(stop::show),
        Operation::SetStop => post(stop::set),
        Operation::ReleaseStop => post(stop::release),
        Operation::Stream => get(stream::stream),
        Operation::ShowOpenApi => get(platform::openapi),
    }
}
