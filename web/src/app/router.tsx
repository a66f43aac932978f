import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { readSearch } from "../features/alerts/query";
import { readFleetSearch } from "../features/fleet/search";
import { readHuntSearch } from "../features/hunt/search";
import { readQuarantineSearch } from "../features/quarantine/search";
import { readVehicleSearch, readVehiclesSearch, isTab } from "../features/vehicles/search";
import { NotFound, Shell } from "./Shell";

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });
const to = (path: string, target: "/overview") =>
  createRoute({
    getParentRoute: () => root,
    path,
    beforeLoad: () => {
      throw redirect({ to: target });
    },
  });

const overview = createRoute({
  getParentRoute: () => root,
  path: "/overview",
  component: lazyRouteComponent(() => import("../features/overview/Page"), "Page"),
});
const alerts = createRoute({
  getParentRoute: () => root,
  path: "/alerts",
  validateSearch: readSearch,
  component: lazyRouteComponent(() => import("../features/alerts/Page"), "Page"),
});
const alert = createRoute({
  getParentRoute: () => root,
  path: "/alerts/$id",
  component: lazyRouteComponent(() => import("../features/alerts/DetailPage"), "DetailPage"),
});
const cases = createRoute({
  getParentRoute: () => root,
  path: "/cases",
  validateSearch: (raw: Record<string, unknown>): { status?: string; q?: string } => ({
    status: text(raw["status"]),
    q: text(raw["q"]),
  }),
  component: lazyRouteComponent(() => import("../features/cases/ListPage"), "ListPage"),
});
const caseFile = createRoute({
  getParentRoute: () => root,
  path: "/cases/$id",
  component: lazyRouteComponent(() => import("../features/cases/Page"), "Page"),
});
const vehicles = createRoute({
  getParentRoute: () => root,
  path: "/vehicles",
  validateSearch: readVehiclesSearch,
  component: lazyRouteComponent(() => import("../features/vehicles/ListPage"), "ListPage"),
});
const vehicle = createRoute({
  getParentRoute: () => root,
  path: "/vehicles/$id/{-$tab}",
  validateSearch: readVehicleSearch,
  params: {
    parse: ({ id, tab }) => ({ id, tab: isTab(tab) ? tab : undefined }),
    stringify: (params) => params,
  },
  component: lazyRouteComponent(() => import("../features/vehicles/Page"), "Page"),
});
const fleet = createRoute({
  getParentRoute: () => root,
  path: "/fleet",
  validateSearch: readFleetSearch,
  component: lazyRouteComponent(() => import("../features/fleet/Page"), "Page"),
});
const hunt = createRoute({
  getParentRoute: () => root,
  path: "/hunt",
  validateSearch: readHuntSearch,
  component: lazyRouteComponent(() => import("../features/hunt/Page"), "Page"),
});
const configuration = createRoute({
  getParentRoute: () => root,
  path: "/configuration",
  validateSearch: (raw: Record<string, unknown>): { rollout?: string } => ({ rollout: text(raw["rollout"]) }),
  component: lazyRouteComponent(() => import("../features/configuration/Page"), "Page"),
});
const health = createRoute({
  getParentRoute: () => root,
  path: "/health",
  component: lazyRouteComponent(() => import("../features/health/Page"), "Page"),
});
const ingest = createRoute({
  getParentRoute: () => root,
  path: "/ingest",
  component: lazyRouteComponent(() => import("../features/ingest/Page"), "Page"),
});
const feeds = createRoute({
  getParentRoute: () => root,
  path: "/feeds",
  component: lazyRouteComponent(() => import("../features/feeds/Page"), "Page"),
});
const quarantine = createRoute({
  getParentRoute: () => root,
  path: "/quarantine",
  validateSearch: readQuarantineSearch,
  component: lazyRouteComponent(() => import("../features/quarantine/Page"), "Page"),
});
const rules = createRoute({
  getParentRoute: () => root,
  path: "/rules",
  component: lazyRouteComponent(() => import("../features/rules/Page"), "Page"),
});
const rule = createRoute({
  getParentRoute: () => root,
  path: "/rules/$id",
  component: lazyRouteComponent(() => import("../features/rules/Page"), "Page"),
});
const users = createRoute({
  getParentRoute: () => root,
  path: "/users",
  component: lazyRouteComponent(() => import("../features/users/Page"), "Page"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    to("/", "/overview"),
    to("/login", "/overview"),
    overview,
    alerts,
    alert,
    cases,
    caseFile,
    vehicles,
    vehicle,
    fleet,
    hunt,
    configuration,
    ingest,
    feeds,
    quarantine,
    health,
    rules,
    rule,
    users,
  ]),
  defaultPreload: "intent",
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
