//! The one list of routes: what exists, who may use it, what it says and hears.
//!
//! Router, policy, OpenAPI document and tests are made from [`Operation::ALL`], so a route that is not in the
//! list does not exist, and one that is cannot lack a policy.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::dto::{
    AlertQuery, CaseQuery, ImportQuery, MapQuery, PageQuery, QuarantineQuery, Role, StreamQuery,
    TimelineQuery, UnclassifiedQuery, VehicleQuery,
};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody; says nothing that is not public.
    Public,
    /// Every session, also one that must change its password first.
    AnySession,
    /// Sessions of this role or a higher one, whose password is not due.
    Role(Role),
    /// The feed that the path names, by its own credential; no session.
    Feed,
    /// The monitoring system, which has a token instead of a session.
    Monitor,
}

/// HTTP methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads; changes nothing.
    Get,
    /// Creates or acts.
    Post,
    /// Changes in part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Returns the method's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a request of this method needs the CSRF header.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// What a route answers when all goes well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One object of this schema.
    Json(&'static str),
    /// One object of this schema, with status 202.
    Accepted(&'static str),
    /// Array of objects of this schema.
    JsonArray(&'static str),
    /// Some JSON without a schema of its own.
    AnyJson,
    /// No body.
    Empty,
    /// Plain text.
    Text,
    /// File.
    Bytes,
    /// Server-sent events.
    Stream,
}

/// Stands for a body of bytes instead of JSON.
pub const OCTETS: &str = "application/octet-stream";

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Name in the OpenAPI document.
    pub id: &'static str,
    /// Method.
    pub method: Method,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// One line.
    pub summary: &'static str,
    /// Query string.
    pub query: Option<fn() -> Vec<Parameter>>,
    /// Schema of the body, or [`OCTETS`].
    pub body: Option<&'static str>,
    /// What it answers.
    pub answer: Answer,
}

/// Parameters of a query type.
fn query<T: IntoParams>() -> Vec<Parameter> {
    T::into_params(|| Some(ParameterIn::Query))
}

macro_rules! operations {
    ($(#[doc = $summary:literal] $name:ident = $id:literal $method:ident $path:literal $access:expr,
        $query:expr, $body:expr => $answer:expr;)*) => {
        /// Everything the API can be asked to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Operation {
            $(#[doc = $summary] $name,)*
        }

        impl Operation {
            /// Every operation, in the order of the document.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the route of this operation.
            #[must_use]
            pub const fn route(self) -> Route {
                match self {
                    $(Self::$name => Route {
                        id: $id,
                        method: Method::$method,
                        path: $path,
                        access: $access,
                        summary: $summary.trim_ascii(),
                        query: $query,
                        body: $body,
                        answer: $answer,
                    },)*
                }
            }
        }
    };
}

const ANALYST: Access = Access::Role(Role::Analyst);
const ENGINEER: Access = Access::Role(Role::Engineer);
const ADMIN: Access = Access::Role(Role::Admin);

operations! {
    /// Says that the program runs.
    Livez = "livez" Get "/livez" Access::Public, None, None => Answer::Text;
    /// Shows counters in the text format 0.0.4 of Prometheus.
    ShowMetrics = "show_metrics" Get "/metrics" Access::Monitor, None, None => Answer::Text;
    /// Logs in.
    Login = "login" Post "/api/v1/session" Access::Public, None, Some("LoginRequest") => Answer::Json("Session");
    /// Shows the caller's session.
    ShowSession = "show_session" Get "/api/v1/session" Access::AnySession, None, None => Answer::Json("Session");
    /// Logs out.
    Logout = "logout" Delete "/api/v1/session" Access::AnySession, None, None => Answer::Empty;
    /// Changes the caller's password.
    ChangePassword = "change_password" Post "/api/v1/session/password" Access::AnySession, None, Some("PasswordChangeRequest") => Answer::Json("Session");
    /// Shows the first page.
    ShowOverview = "show_overview" Get "/api/v1/overview" ANALYST, None, None => Answer::Json("Overview");
    /// Lists alerts.
    ListAlerts = "list_alerts" Get "/api/v1/alerts" ANALYST, Some(query::<AlertQuery>), None => Answer::Json("AlertList");
    /// Shows one alert.
    ShowAlert = "show_alert" Get "/api/v1/alerts/{id}" ANALYST, None, None => Answer::Json("AlertDetail");
    /// Acts on a selection of alerts.
    ActOnAlerts = "act_on_alerts" Post "/api/v1/alerts/actions" ANALYST, None, Some("AlertActionRequest") => Answer::Json("AlertActionResult");
    /// Lists cases.
    ListCases = "list_cases" Get "/api/v1/cases" ANALYST, Some(query::<CaseQuery>), None => Answer::Json("CaseList");
    /// Opens a case.
    CreateCase = "create_case" Post "/api/v1/cases" ANALYST, None, Some("CreateCaseRequest") => Answer::Json("Case");
    /// Shows one case.
    ShowCase = "show_case" Get "/api/v1/cases/{id}" ANALYST, None, None => Answer::Json("Case");
    /// Adds alerts to a case.
    AddAlertsToCase = "add_alerts_to_case" Post "/api/v1/cases/{id}/alerts" ANALYST, None, Some("AddAlertsRequest") => Answer::Json("Case");
    /// Writes a note into a case.
    AddNote = "add_note" Post "/api/v1/cases/{id}/notes" ANALYST, None, Some("NoteRequest") => Answer::Json("Case");
    /// Closes a case.
    CloseCase = "close_case" Post "/api/v1/cases/{id}/close" ANALYST, None, Some("CloseCaseRequest") => Answer::Json("Case");
    /// Asks a vehicle for evidence.
    RequestEvidence = "request_evidence" Post "/api/v1/cases/{id}/evidence-requests" ANALYST, None, Some("CreateEvidenceRequest") => Answer::Json("EvidenceRequest");
    /// Fetches the capture a vehicle sent.
    FetchEvidence = "fetch_evidence" Get "/api/v1/cases/{id}/evidence-requests/{rid}/content" ANALYST, None, None => Answer::Bytes;
    /// Lists vehicles.
    ListVehicles = "list_vehicles" Get "/api/v1/vehicles" ANALYST, Some(query::<VehicleQuery>), None => Answer::Json("VehicleList");
    /// Lists vehicles that came with a trusted certificate since the start and that nobody registered.
    ListUnregistered = "list_unregistered" Get "/api/v1/vehicles/unregistered" ANALYST, None, None => Answer::JsonArray("UnregisteredVehicle");
    /// Registers the vehicles of a file, CSV, NDJSON or a JSON array, at most 2 GiB.
    ImportVehicles = "import_vehicles" Post "/api/v1/vehicles/import" ENGINEER, Some(query::<ImportQuery>), Some(OCTETS) => Answer::Json("VehicleImport");
    /// Moves vehicles to a stage of monitoring.
    ChangeMonitoringStage = "change_monitoring_stage" Post "/api/v1/vehicles/stage" ENGINEER, None, Some("StageRequest") => Answer::Json("StageResult");
    /// Asks for the VIN of a vehicle; by policy, a second person must agree.
    RequestReveal = "request_reveal" Post "/api/v1/vehicles/{id}/reveal" ENGINEER, None, Some("RevealReason") => Answer::Json("RevealRequest");
    /// Lists the latest requests to show a VIN.
    ListReveals = "list_reveals" Get "/api/v1/reveal-requests" ENGINEER, None, None => Answer::JsonArray("RevealRequest");
    /// Agrees to a request to show a VIN as a second person.
    ApproveReveal = "approve_reveal" Post "/api/v1/reveal-requests/{id}/approve" ENGINEER, None, None => Answer::Json("RevealRequest");
    /// Shows the VIN, once, to who asked.
    OpenReveal = "open_reveal" Post "/api/v1/reveal-requests/{id}/open" ENGINEER, None, None => Answer::Json("RevealedVin");
    /// Destroys what leads from a vehicle's pseudonyms to its VIN, for good.
    ShredVehicle = "shred_vehicle" Post "/api/v1/vehicles/{id}/shred" ADMIN, None, Some("RevealReason") => Answer::Json("ShreddedVehicle");
    /// Shows one vehicle.
    ShowVehicle = "show_vehicle" Get "/api/v1/vehicles/{id}" ANALYST, None, None => Answer::Json("Vehicle");
    /// Lists a vehicle's events.
    ListVehicleEvents = "list_vehicle_events" Get "/api/v1/vehicles/{id}/timeline" ANALYST, Some(query::<TimelineQuery>), None => Answer::Json("EventList");
    /// Shows what was received of a vehicle, what is missing and what it gave up.
    ShowCompleteness = "show_completeness" Get "/api/v1/vehicles/{id}/completeness" ANALYST, None, None => Answer::Json("Completeness");
    /// Shows what came in from the vehicles.
    ShowIngestHealth = "show_ingest_health" Get "/api/v1/ingest" ANALYST, None, None => Answer::Json("IngestHealth");
    /// Shows who a vehicle is: state, certificates, batch keys, log.
    ShowVehicleIdentity = "show_vehicle_identity" Get "/api/v1/vehicles/{id}/identity" ANALYST, None, None => Answer::Json("VehicleIdentity");
    /// Keeps a vehicle out until somebody resumes it.
    SuspendVehicle = "suspend_vehicle" Post "/api/v1/vehicles/{id}/suspend" ANALYST, None, Some("VehicleStateRequest") => Answer::Json("VehicleIdentity");
    /// Lets a suspended vehicle in again.
    ResumeVehicle = "resume_vehicle" Post "/api/v1/vehicles/{id}/resume" ENGINEER, None, Some("VehicleStateRequest") => Answer::Json("VehicleIdentity");
    /// Keeps a vehicle out for good: its keys are not trusted any more.
    RevokeVehicle = "revoke_vehicle" Post "/api/v1/vehicles/{id}/revoke" ADMIN, None, Some("VehicleStateRequest") => Answer::Json("VehicleIdentity");
    /// Lists the latest enrolments, changes of state and refusals of all vehicles.
    ListIdentityLog = "list_identity_log" Get "/api/v1/identity-log" ENGINEER, None, None => Answer::JsonArray("IdentityLogEntry");
    /// Shows what a vehicle is configured with: versions, trial, setbacks, orders.
    ShowVehicleConfiguration = "show_vehicle_configuration" Get "/api/v1/vehicles/{id}/configuration" ANALYST, None, None => Answer::Json("VehicleConfiguration");
    /// Lists the keys whose artifacts are taken.
    ListArtifactKeys = "list_artifact_keys" Get "/api/v1/artifact-keys" ANALYST, None, None => Answer::JsonArray("ArtifactKey");
    /// Lists signed artifacts.
    ListArtifacts = "list_artifacts" Get "/api/v1/artifacts" ANALYST, Some(query::<PageQuery>), None => Answer::Json("ArtifactList");
    /// Takes a signed artifact, at most 8 MiB.
    UploadArtifact = "upload_artifact" Post "/api/v1/artifacts" ENGINEER, None, Some(OCTETS) => Answer::Json("Artifact");
    /// Shows one artifact.
    ShowArtifact = "show_artifact" Get "/api/v1/artifacts/{sha256}" ANALYST, None, None => Answer::Json("Artifact");
    /// Lists rollouts.
    ListRollouts = "list_rollouts" Get "/api/v1/rollouts" ANALYST, Some(query::<PageQuery>), None => Answer::Json("RolloutList");
    /// Proposes an artifact for vehicles.
    ProposeRollout = "propose_rollout" Post "/api/v1/rollouts" ENGINEER, None, Some("ProposeRolloutRequest") => Answer::Json("Rollout");
    /// Shows one rollout with its orders.
    ShowRollout = "show_rollout" Get "/api/v1/rollouts/{id}" ANALYST, None, None => Answer::Json("Rollout");
    /// Confirms a rollout as a second person; the safety gate judges its orders next.
    ConfirmRollout = "confirm_rollout" Post "/api/v1/rollouts/{id}/confirm" ENGINEER, None, Some("RolloutDecision") => Answer::Json("Rollout");
    /// Withdraws what has not been sent of a rollout.
    CancelRollout = "cancel_rollout" Post "/api/v1/rollouts/{id}/cancel" ENGINEER, None, Some("RolloutDecision") => Answer::Json("Rollout");
    /// Takes a body of a feed, at most 1 MiB after decompression; answers when it is durable.
    ReceiveFeed = "receive_feed" Post "/v1/feeds/{feed}" Access::Feed, None, Some(OCTETS) => Answer::Accepted("FeedReceipt");
    /// Lists feeds of foreign events.
    ListFeeds = "list_feeds" Get "/api/v1/feeds" ENGINEER, None, None => Answer::JsonArray("Feed");
    /// Lists decoders of foreign formats.
    ListDecoders = "list_decoders" Get "/api/v1/decoders" ENGINEER, None, None => Answer::JsonArray("Decoder");
    /// Registers a feed; its credential is shown once.
    CreateFeed = "create_feed" Post "/api/v1/feeds" ADMIN, None, Some("CreateFeedRequest") => Answer::Json("CreatedFeed");
    /// Enables or disables a feed.
    ChangeFeed = "change_feed" Post "/api/v1/feeds/{name}/state" ADMIN, None, Some("FeedStateRequest") => Answer::Json("Feed");
    /// Gives a feed another credential; the one before is void at once.
    RotateFeedCredential = "rotate_feed_credential" Post "/api/v1/feeds/{name}/credential" ADMIN, None, None => Answer::Json("CreatedFeed");
    /// Shows the map of the fleet.
    ShowFleetMap = "show_fleet_map" Get "/api/v1/fleet/map" ANALYST, Some(query::<MapQuery>), None => Answer::Json("FleetMap");
    /// Lists regions.
    ListRegions = "list_regions" Get "/api/v1/fleet/regions" ANALYST, None, None => Answer::JsonArray("Region");
    /// Shows the state of the installation.
    ShowHealth = "show_health" Get "/api/v1/health" ANALYST, None, None => Answer::Json("Health");
    /// Lists what was put aside.
    ListQuarantine = "list_quarantine" Get "/api/v1/quarantine" ENGINEER, Some(query::<QuarantineQuery>), None => Answer::Json("QuarantineList");
    /// Says how much was put aside, and why.
    ShowQuarantineSummary = "show_quarantine_summary" Get "/api/v1/quarantine/summary" ENGINEER, None, None => Answer::Json("QuarantineSummary");
    /// Fetches the bytes of an entry of the quarantine; who does is written into the audit trail.
    FetchQuarantine = "fetch_quarantine" Get "/api/v1/quarantine/{id}/content" ENGINEER, None, None => Answer::Bytes;
    /// Has entries of the quarantine taken again, by the decoders of now.
    ReplayQuarantine = "replay_quarantine" Post "/api/v1/quarantine/replays" ENGINEER, None, Some("ReplayRequest") => Answer::Json("ReplayResult");
    /// Lists the types of foreign events that the catalogue does not have.
    ListUnclassified = "list_unclassified" Get "/api/v1/unclassified" ENGINEER, Some(query::<UnclassifiedQuery>), None => Answer::JsonArray("UnclassifiedType");
    /// Lists rules.
    ListRules = "list_rules" Get "/api/v1/rules" ENGINEER, None, None => Answer::JsonArray("Rule");
    /// Shows the catalogue of events.
    ShowCatalogue = "show_catalogue" Get "/api/v1/catalogue" ANALYST, None, None => Answer::Json("Catalogue");
    /// Lists users.
    ListUsers = "list_users" Get "/api/v1/users" ADMIN, None, None => Answer::Json("UserList");
    /// Makes an account.
    CreateUser = "create_user" Post "/api/v1/users" ADMIN, None, Some("CreateUserRequest") => Answer::Json("User");
    /// Changes an account.
    UpdateUser = "update_user" Patch "/api/v1/users/{name}" ADMIN, None, Some("UpdateUserRequest") => Answer::Json("User");
    /// Runs a reading query over the lake.
    RunSql = "run_sql" Post "/api/v1/sql" ENGINEER, None, Some("SqlRequest") => Answer::Json("SqlResult");
    /// Shows the emergency stop.
    ShowStop = "show_stop" Get "/api/v1/stop" ANALYST, None, None => Answer::Json("EmergencyStop");
    /// Sets the emergency stop: no command leaves any more.
    SetStop = "set_stop" Post "/api/v1/stop" ANALYST, None, Some("StopRequest") => Answer::Json("EmergencyStop");
    /// Proposes the release of the emergency stop or, as a second person, confirms it.
    ReleaseStop = "release_stop" Post "/api/v1/stop/release" ENGINEER, None, Some("StopRequest") => Answer::Json("EmergencyStop");
    /// Streams what changes.
    Stream = "stream" Get "/api/v1/stream" ANALYST, Some(query::<StreamQuery>), None => Answer::Stream;
    /// Shows this document.
    ShowOpenApi = "show_openapi" Get "/api/v1/openapi.json" ANALYST, None, None => Answer::AnyJson;
}
