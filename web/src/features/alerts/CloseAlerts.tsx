import { number, t } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { DispositionForm } from "../../ui/DispositionForm";
import { toast } from "../../ui/toasts";
import { actOnAlerts } from "./api";
import { count, type Selection } from "./selection";

export function CloseAlerts({
  selection,
  done,
  close,
}: {
  selection: Selection;
  done(): void;
  close(): void;
}) {
  const many = count(selection);
  return (
    <Dialog
      title={many === 1 ? t("close.title_one") : t("close.title", { count: number(many) })}
      className="wide"
      onClose={close}
    >
      <DispositionForm
        submitLabel={t("close.submit")}
        close={close}
        submit={async (disposition, note) => {
          const result = await actOnAlerts({
            action: "close",
            selection,
            disposition,
            note: note || undefined,
          });
          done();
          toast({
            text: t(result.refused.length > 0 ? "toast.closed_refused" : "toast.closed", {
              count: number(result.changed),
              refused: number(result.refused.length),
              reason: result.refused[0]?.message ?? "",
            }),
            bad: result.refused.length > 0,
          });
        }}
      />
    </Dialog>
  );
}
