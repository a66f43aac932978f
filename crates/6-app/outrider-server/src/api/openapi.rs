//! The OpenAPI document, made from the list of routes and the schemas of [`super::dto`].

use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{AllOf, ArrayBuilder, Object, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, KnownFormat, PathsBuilder, Ref, RefOr, Required, Schema,
};
use utoipa::{OpenApi, openapi};

use super::dto;
use super::route::{Access, Answer, Method, OCTETS, Operation, Route};

/// Schemas that routes name; what they are made of comes along.
#[derive(OpenApi)]
#[openapi(components(schemas(
    dto::AddAlertsRequest,
    dto::AlertActionRequest,
    dto::AlertActionResult,
    dto::AlertDetail,
    dto::AlertList,
    dto::ApiError,
    dto::Artifact,
    dto::ArtifactKey,
    dto::ArtifactList,
    dto::Case,
    dto::CaseList,
    dto::Catalogue,
    dto::CloseCaseRequest,
    dto::Completeness,
    dto::Connectivity,
    dto::CreateCaseRequest,
    dto::CreateEvidenceRequest,
    dto::CreateFeedRequest,
    dto::CreatedFeed,
    dto::CreateUserRequest,
    dto::EmergencyStop,
    dto::EventList,
    dto::EvidenceRequest,
    dto::Decoder,
    dto::Feed,
    dto::FeedReceipt,
    dto::FeedStateRequest,
    dto::FleetMap,
    dto::Health,
    dto::IngestHealth,
    dto::LoginRequest,
    dto::MapLayer,
    dto::MonitoringStage,
    dto::Registration,
    dto::NoteRequest,
    dto::Overview,
    dto::PasswordChangeRequest,
    dto::ProposeRolloutRequest,
    dto::QuarantineList,
    dto::QuarantineSummary,
    dto::ReplayRequest,
    dto::ReplayResult,
    dto::Region,
    dto::RevealReason,
    dto::RevealRequest,
    dto::RevealedVin,
    dto::Rollout,
    dto::RolloutDecision,
    dto::RolloutList,
    dto::Rule,
    dto::Session,
    dto::ShreddedVehicle,
    dto::SqlRequest,
    dto::SqlResult,
    dto::StageRequest,
    dto::StageResult,
    dto::StopRequest,
    dto::IdentityLogEntry,
    dto::VehicleBatchKey,
    dto::VehicleCertificate,
    dto::VehicleIdentity,
    dto::VehicleState,
    dto::VehicleStateRequest,
    dto::UnclassifiedType,
    dto::UnregisteredVehicle,
    dto::UpdateUserRequest,
    dto::UserList,
    dto::Vehicle,
    dto::VehicleConfiguration,
    dto::VehicleImport,
    dto::VehicleList,
)))]
struct Schemas;

/// Returns the OpenAPI document of this version as indented JSON with a final line feed.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = document().to_pretty_json().expect("the document holds no map with keys that are no text");
    text.push('\n');
    text
}

/// Builds the document.
fn document() -> openapi::OpenApi {
    let mut document = Schemas::openapi();
    document.info = InfoBuilder::new()
        .title("Outrider")
        .version("1")
        .description(Some(
            "API of the vehicle security operations centre. Everything but GET needs the header `X-CSRF-Token`, \
             but for bodies of feeds, which come with a credential of their own.",
        ))
        .build();
    let mut components = document.components.take().unwrap_or_else(Components::new);
    components.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(super::SESSION_COOKIE))),
    );
    components.add_security_scheme("feed", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.add_security_scheme("monitor", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document.components = Some(components);
    let paths = Operation::ALL.iter().fold(PathsBuilder::new(), |paths, operation| {
        let route = operation.route();
        paths.path(route.path, PathItem::new(http_method(route.method), describe(&route)))
    });
    document.paths = paths.build();
    document
}

/// Method in the words of the document.
const fn http_method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

/// Describes one route.
fn describe(route: &Route) -> openapi::path::Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.id))
        .summary(Some(route.summary))
        .description(Some(access_sentence(route.access)))
        .tag(tag(route.path));
    for name in path_parameters(route.path) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(Object::with_type(Type::String)));
        operation = operation.parameter(parameter);
    }
    for parameter in route.query.map(|query| query()).unwrap_or_default() {
        operation = operation.parameter(parameter);
    }
    if let Some(schema) = route.body {
        let (media_type, schema) = match schema {
            OCTETS => (OCTETS, binary()),
            schema => ("application/json", RefOr::Ref(Ref::from_schema_name(schema))),
        };
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content(media_type, content);
        operation = operation.request_body(Some(body.build()));
    }
    let error = || {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ApiError"))).build();
        ResponseBuilder::new().description("Refused.").content("application/json", content).build()
    };
    let responses = ResponsesBuilder::new()
        .response(success_status(route), answer(route.answer))
        .response("default", error());
    let security = match route.access {
        Access::Public => SecurityRequirement::default(),
        Access::Monitor => SecurityRequirement::new("monitor", Vec::<String>::new()),
        Access::AnySession | Access::Role(_) => SecurityRequirement::new("session", Vec::<String>::new()),
        Access::Feed => SecurityRequirement::new("feed", Vec::<String>::new()),
    };
    operation.security(security).responses(responses.build()).build()
}

/// Status of an answer when all goes well.
const fn success_status(route: &Route) -> &'static str {
    match route.answer {
        Answer::Empty => "204",
        Answer::Accepted(_) => "202",
        Answer::Json(_)
        | Answer::JsonArray(_)
        | Answer::AnyJson
        | Answer::Text
        | Answer::Bytes
        | Answer::Stream => "200",
    }
}

/// Describes an answer.
fn answer(answer: Answer) -> openapi::Response {
    let response = ResponseBuilder::new().description("Done.");
    let with = |media_type: &str, schema: RefOr<Schema>| {
        ResponseBuilder::new()
            .description("Done.")
            .content(media_type, ContentBuilder::new().schema(Some(schema)).build())
            .build()
    };
    let text = || RefOr::T(Schema::Object(Object::with_type(Type::String)));
    match answer {
        Answer::Json(schema) | Answer::Accepted(schema) => {
            with("application/json", RefOr::Ref(Ref::from_schema_name(schema)))
        }
        Answer::JsonArray(schema) => {
            with("application/json", ArrayBuilder::new().items(Ref::from_schema_name(schema)).into())
        }
        Answer::AnyJson => with("application/json", RefOr::T(Schema::AllOf(AllOf::new()))),
        Answer::Empty => response.build(),
        Answer::Text => with("text/plain", text()),
        Answer::Bytes => with(OCTETS, binary()),
        Answer::Stream => with("text/event-stream", text()),
    }
}

/// Bytes.
fn binary() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .into()
}

/// Sentence about who may use a route.
fn access_sentence(access: Access) -> String {
    match access {
        Access::Public => "Needs no session.".to_owned(),
        Access::AnySession => "Needs a session.".to_owned(),
        Access::Monitor => "Needs the token of the monitoring system.".to_owned(),
        Access::Role(role) => format!("Needs the role {} or a higher one.", role.word()),
        Access::Feed => "Needs the feed's credential.".to_owned(),
    }
}

/// First word of the path behind the version.
fn tag(path: &str) -> &str {
    path.trim_start_matches("/api")
        .trim_start_matches("/v1")
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
}

/// Names in braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_checked_in_document_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../schema/openapi.json");
        expect_test::expect_file![path].assert_eq(&openapi_json());
    }

    #[test]
    fn every_schema_a_route_names_is_in_the_document() {
        let text = openapi_json();
        let json: serde_json::Value = serde_json::from_str(&text).expect("the document is JSON");
        let known: BTreeSet<&str> = json["components"]["schemas"]
            .as_object()
            .expect("the document has schemas")
            .keys()
            .map(String::as_str)
            .collect();
        let mut references = Vec::new();
        for (at, _) in text.match_indices("#/components/schemas/") {
            let rest = &text[at + "#/components/schemas/".len()..];
            references.push(&rest[..rest.find('"').expect("a reference ends")]);
        }
        assert!(references.len() > 50);
        for reference in references {
            assert!(known.contains(reference), "{reference} is not a schema");
        }
    }

    #[test]
    fn operation_ids_and_routes_are_unique() {
        let ids: BTreeSet<_> = Operation::ALL.iter().map(|operation| operation.route().id).collect();
        let paths: BTreeSet<_> = Operation::ALL
            .iter()
            .map(|operation| (operation.route().method.name(), operation.route().path))
            .collect();
        assert_eq!(ids.len(), Operation::ALL.len());
        assert_eq!(paths.len(), Operation::ALL.len());
    }
}
