import type { ReactNode } from "react";
import { AddToCase, OpenCase } from "../features/cases/AlertDialogs";
import { CaseNote, CloseCase } from "../features/cases/Dialogs";
import { RequestEvidence } from "../features/cases/RequestEvidence";
import { CloseAlerts } from "../features/alerts/CloseAlerts";
import { PasswordForm } from "../features/session/Password";
import { SaveQuery } from "../features/hunt/SaveQuery";
import { Replay } from "../features/quarantine/Replay";
import { StopDialog } from "../features/stop/Dialog";
import { DecideRollout, ProposeRollout, UploadArtifact } from "../features/configuration/Dialogs";
import { IdentityDialog } from "../features/vehicles/IdentityDialog";
import { RevealDialog } from "../features/vehicles/RevealDialog";
import { t } from "../lib/i18n";
import { Dialog } from "../ui/parts";
import { Help } from "./Help";
import { Palette } from "./Palette";
import type { Context, DialogRequest } from "./actions/types";

type Props = { dialog: DialogRequest; context: Context; close(): void };

function content({ dialog, context, close }: Props): ReactNode {
  switch (dialog.kind) {
    case "palette":
      return <Palette context={context} close={close} />;
    case "help":
      return <Help close={close} />;
    case "password":
      return (
        <Dialog title={t("action.password")} onClose={close}>
          <PasswordForm done={close} cancel={{ label: t("dialog.cancel"), run: close }} />
        </Dialog>
      );
    case "stop":
      return <StopDialog act={dialog.act} stop={context.stop} close={close} />;
    case "identity":
      return <IdentityDialog act={dialog.act} id={dialog.id} close={close} />;
    case "reveal":
      return <RevealDialog act={dialog.act} id={dialog.id} request={dialog.request} close={close} />;
    case "upload-artifact":
      return <UploadArtifact close={close} />;
    case "propose-rollout":
      return <ProposeRollout vehicle={dialog.vehicle} close={close} />;
    case "decide-rollout":
      return <DecideRollout act={dialog.act} rollout={dialog.rollout} close={close} />;
    case "close-alerts":
      return <CloseAlerts selection={dialog.selection} done={() => context.triage?.done()} close={close} />;
    case "open-case":
      return (
        <OpenCase
          selection={dialog.selection}
          title={dialog.title}
          alerts={context.triage?.alerts ?? []}
          go={context.shell.go}
          close={close}
        />
      );
    case "add-to-case":
      return <AddToCase selection={dialog.selection} done={() => context.triage?.done()} close={close} />;
    case "request-evidence":
      return <RequestEvidence target={dialog.target} go={context.shell.go} close={close} />;
    case "close-case":
      return <CloseCase id={dialog.id} close={close} />;
    case "case-note":
      return <CaseNote id={dialog.id} close={close} />;
    case "replay-quarantine":
      return <Replay target={dialog.target} entries={dialog.entries} done={dialog.done} close={close} />;
    case "save-query":
      return <SaveQuery query={dialog.query} user={context.user.name} close={close} />;
  }
}

export default function Dialogs(props: Props) {
  return <>{content(props)}</>;
}
