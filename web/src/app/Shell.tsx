import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from "react";
import type { SessionUser } from "../api/types";
import { useHealth } from "../features/health/api";
import { concerns } from "../features/health/concerns";
import { logout, useSession } from "../features/session/api";
import { StopBanner } from "../features/stop/Banner";
import { counted, number, t, word } from "../lib/i18n";
import { usePreferences } from "../lib/preferences";
import { zoneName } from "../lib/time";
import { Toasts } from "../ui/toasts";
import { Empty, Loading } from "../ui/states";
import { ActionButton, ActionProvider, useActionContext } from "./actions/context";
import { PLACES } from "./actions/list/navigation";
import { type DialogRequest, granted } from "./actions/types";
import { useLive, useStream } from "./live";
import { router } from "./router";

const loadDialogs = () => import("./Dialogs");
const Dialogs = lazy(loadDialogs);
/** Pause after which the dialogs are fetched, so that the first of them opens without a wait. */
const PRELOAD_MS = 1_500;

/** Goes to an address inside the dashboard. */
const go = (href: string) => router.history.push(href);

function focusSearch() {
  const box = document.querySelector<HTMLInputElement>("[data-search]");
  if (!box) return go("/alerts");
  box.focus();
  box.select();
}

export const NotFound = () => (
  <Empty title={t("state.not_found")}>
    <Link to="/overview">{t("nav.overview")}</Link>
  </Empty>
);

function LiveMark() {
  const { state, fresh } = useLive();
  return (
    <span className={`live-mark ${state}`} title={t(`live.${state}.hint`)}>
      <span className="dot" aria-hidden="true" />
      {t(`live.${state}`)}
      {fresh.size > 0 ? (
        <span className="muted">{t("live.fresh", { count: number(fresh.size) })}</span>
      ) : null}
    </span>
  );
}

function Side({ user }: { user: SessionUser }) {
  const { fresh } = useLive();
  // Only what the stream brings: every open tab would otherwise ask for it all the time.
  const troubles = concerns(useHealth(false).data);
  return (
    <nav className="side" aria-label={t("nav.label")}>
      <Link to="/overview" className="brand">
        <img src="/favicon.svg" alt="" width={22} height={22} />
        <span>Outrider</span>
      </Link>
      <ul>
        {PLACES.filter((place) => granted(user.role, place.permission)).map((place) => (
          <li key={place.id}>
            <Link to={place.href} activeOptions={{ includeSearch: false }}>
              <span>{t(place.title)}</span>
              {place.id === "alerts" && fresh.size > 0 ? (
                <span className="tag live">{number(fresh.size)}</span>
              ) : place.id === "health" && troubles > 0 ? (
                <span className="tag warn" title={counted("health.concerns", troubles)}>
                  <span aria-hidden="true">!</span>
                  <span className="sr">{counted("health.concerns", troubles)}</span>
                </span>
              ) : (
                <kbd>g {place.key}</kbd>
              )}
            </Link>
          </li>
        ))}
      </ul>
      <div className="foot">
        <span className="clip" title={user.name}>
          {user.name}
        </span>
        <span className="muted">{word("role", user.role)}</span>
        <ActionButton id="logout" className="quiet small" />
      </div>
    </nav>
  );
}

function Top() {
  const { zone, theme } = usePreferences();
  return (
    <header className="top">
      <ActionButton id="palette" className="search-button" label={t("top.palette")} />
      <span className="grow" />
      <ActionButton id="stop.set" className="stop-button" />
      <LiveMark />
      <ActionButton id="zone" className="quiet small" label={zoneName(zone, new Date())} hideKeys />
      <ActionButton
        id="theme"
        className="quiet small"
        label={t(theme === "dark" ? "top.dark" : "top.light")}
        hideKeys
      />
      <ActionButton id="help" className="quiet small" label={t("top.help")} />
    </header>
  );
}

function Content() {
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => {
    const place = PLACES.find((each) => path.startsWith(each.href));
    document.title = place ? `${t(place.title)} · Outrider` : "Outrider";
  }, [path]);
  return (
    <main id="content" tabIndex={-1} data-page={path.split("/")[1]}>
      <Suspense fallback={<Loading />}>
        <Outlet />
      </Suspense>
    </main>
  );
}

function DialogHost({ dialog, close }: { dialog: DialogRequest | undefined; close(): void }) {
  const context = useActionContext();
  if (!dialog) return null;
  return (
    <Suspense fallback={null}>
      <Dialogs dialog={dialog} context={context} close={close} />
    </Suspense>
  );
}

/** The frame around every page. Shown only to somebody who is logged in. */
export function Shell() {
  const session = useSession();
  const user = session.data?.user;
  const [dialog, setDialog] = useState<DialogRequest>();
  const modal = useRef(false);
  modal.current = dialog !== undefined;
  useStream();
  useEffect(() => {
    const timer = setTimeout(() => void loadDialogs(), PRELOAD_MS);
    return () => clearTimeout(timer);
  }, []);
  const store = useMemo(() => {
    const open = (request: DialogRequest) => {
      modal.current = true;
      setDialog(request);
    };
    return user && { user, isModal: () => modal.current, shell: { go, open, focusSearch, logout } };
  }, [user]);
  if (!store || !user) return <Loading />;
  return (
    <ActionProvider store={store}>
      <a className="skip" href="#content">
        {t("nav.skip")}
      </a>
      <div className="shell">
        <Side user={user} />
        <Top />
        <StopBanner user={user.name} />
        <Content />
      </div>
      <Toasts />
      <DialogHost dialog={dialog} close={() => setDialog(undefined)} />
    </ActionProvider>
  );
}
