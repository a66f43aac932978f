import { useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo } from "react";
import type { SecurityEvent } from "../../api/types";
import { ActionButton } from "../../app/actions/context";
import { number, t } from "../../lib/i18n";
import { Card } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { EventList } from "../alerts/Events";
import { useTimeline } from "./api";
import { SPANS, type VehicleSearch } from "./search";

const HOUR_MS = 3_600_000;
const SPAN_MS: Record<NonNullable<VehicleSearch["span"]>, number> = {
  hour: HOUR_MS,
  day: 24 * HOUR_MS,
  week: 168 * HOUR_MS,
};
const CHOICES = [...SPANS, undefined];
const MINUTE_MS = 60_000;

/** Start of a span, cut to the minute so that the address and the cache do not change all the time. */
const since = (ms: number): string =>
  new Date(Math.floor((Date.now() - ms) / MINUTE_MS) * MINUTE_MS).toISOString();

type Props = { id: string; search: VehicleSearch; choose(event: SecurityEvent | undefined): void };

/** All events of one vehicle, newest first. */
export function Timeline({ id, search, choose }: Props) {
  const navigate = useNavigate();
  const { span } = search;
  const from = useMemo(() => span && since(SPAN_MS[span]), [span]);
  const query = useTimeline(id, from);
  const events = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  const chosen = events.find((event) => event.id === search.event) ?? events[0];
  useEffect(() => choose(chosen), [chosen, choose]);
  const patch = (change: VehicleSearch) =>
    void navigate({
      to: "/vehicles/$id/{-$tab}",
      params: { id, tab: "timeline" },
      search: { ...search, ...change },
      replace: true,
    });
  return (
    <Card
      title={t("vehicle.timeline", { count: number(query.data?.pages.at(-1)?.total ?? 0) })}
      flush
      aside={
        <div className="row">
          <div className="segments" role="group" aria-label={t("span.label")}>
            {CHOICES.map((each) => (
              <button
                key={each ?? "all"}
                type="button"
                className="button small"
                aria-pressed={span === each}
                onClick={() => patch({ span: each, event: undefined })}
              >
                {t(`span.${each ?? "all"}`)}
              </button>
            ))}
          </div>
          <ActionButton id="vehicle.evidence" className="small" />
        </div>
      }
    >
      <Await query={query}>
        {() =>
          events.length === 0 ? (
            <Empty title={t("vehicle.no_events")} />
          ) : (
            <EventList events={events} chosen={chosen?.id} choose={(event) => patch({ event })} hideVehicle />
          )
        }
      </Await>
      {query.hasNextPage ? (
        <div className="note">
          <button
            type="button"
            className="button"
            disabled={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            {t("state.more")}
          </button>
        </div>
      ) : null}
    </Card>
  );
}
