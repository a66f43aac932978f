import { useState, type FormEvent } from "react";
import type { Role, User } from "../../api/types";
import { granted } from "../../app/actions/types";
import { t } from "../../lib/i18n";
import { Age, Card, Dialog, Scroll, Tag } from "../../ui/parts";
import { Await, Empty, problemText } from "../../ui/states";
import { toast } from "../../ui/toasts";
import { useSession } from "../session/api";
import { createUser, updateUser, useUsers } from "./api";

const ROLES: readonly Role[] = ["analyst", "engineer", "admin"];
const roleOf = (value: unknown): Role => ROLES.find((role) => role === value) ?? "analyst";

function UserRow({ user, self }: { user: User; self: boolean }) {
  const change = (patch: Parameters<typeof updateUser>[1]) =>
    void updateUser(user.name, patch).catch((error: unknown) =>
      toast({ text: problemText(error), bad: true }),
    );
  const [setting, setSetting] = useState(false);
  return (
    <tr>
      <td>
        <strong>{user.name}</strong> {self ? <Tag>{t("user.self")}</Tag> : null}
        {user.must_change_password ? (
          <>
            {" "}
            <Tag tone="warn">{t("user.must_change")}</Tag>
          </>
        ) : null}
      </td>
      <td>
        <select
          aria-label={t("user.role_of", { name: user.name })}
          value={user.role}
          disabled={self}
          onChange={(event) => change({ role: roleOf(event.target.value) })}
        >
          {ROLES.map((role) => (
            <option key={role} value={role}>
              {t(`role.${role}`)}
            </option>
          ))}
        </select>
      </td>
      <td>
        {user.disabled ? (
          <Tag tone="warn">{t("user.disabled")}</Tag>
        ) : (
          <Tag tone="ok">{t("user.active")}</Tag>
        )}
      </td>
      <td className="num muted">
        <Age at={user.last_login_at} />
      </td>
      <td className="num muted">
        <Age at={user.created_at} />
      </td>
      <td className="num">
        {self ? null : (
          <button type="button" className="button quiet small" onClick={() => setSetting(true)}>
            {t("user.set_password")}
          </button>
        )}{" "}
        <button
          type="button"
          className="button small"
          disabled={self}
          onClick={() => change({ disabled: !user.disabled })}
        >
          {t(user.disabled ? "user.enable" : "user.disable")}
        </button>
        {setting ? <SetPassword name={user.name} close={() => setSetting(false)} /> : null}
      </td>
    </tr>
  );
}

function NewUser() {
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const target = event.currentTarget;
    const form = new FormData(target);
    try {
      await createUser(
        String(form.get("name")).trim(),
        roleOf(form.get("role")),
        String(form.get("password")),
      );
      target.reset();
      setProblem("");
      toast({ text: t("user.created") });
    } catch (error) {
      setProblem(problemText(error));
    }
  };
  return (
    <Card title={t("user.new")}>
      <form className="stack" onSubmit={(event) => void submit(event)} autoComplete="off">
        <label className="field">
          <span>{t("login.user")}</span>
          <input name="name" required autoComplete="off" />
        </label>
        <label className="field">
          <span>{t("user.role")}</span>
          <select name="role">
            {ROLES.map((role) => (
              <option key={role} value={role}>
                {t(`role.${role}`)}
              </option>
            ))}
          </select>
        </label>
        <p className="muted">{t("user.roles.hint")}</p>
        <label className="field">
          <span>{t("user.first_password")}</span>
          <input name="password" type="password" required autoComplete="new-password" />
        </label>
        <p className="muted">{t("user.first_password.hint")}</p>
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div>
          <button type="submit" className="button primary">
            {t("user.create")}
          </button>
        </div>
      </form>
    </Card>
  );
}

function SetPassword({ name, close }: { name: string; close(): void }) {
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    try {
      await updateUser(name, { password: String(new FormData(event.currentTarget).get("password")) });
      toast({ text: t("user.password_set") });
      close();
    } catch (error) {
      setProblem(problemText(error));
    }
  };
  return (
    <Dialog title={t("user.set_password_of", { name })} onClose={close}>
      <form onSubmit={(event) => void submit(event)} autoComplete="off">
        <label className="field">
          <span>{t("user.first_password")}</span>
          <input name="password" type="password" required autoComplete="new-password" autoFocus />
        </label>
        <p className="muted">{t("user.first_password.hint")}</p>
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className="button primary">
            {t("user.set_password")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

const Table = ({ users, self }: { users: readonly User[]; self: string }) => (
  <Scroll label={t("user.all")}>
    <table>
      <thead>
        <tr>
          <th>{t("user.name")}</th>
          <th>{t("user.role")}</th>
          <th>{t("queue.status")}</th>
          <th className="num">{t("user.last_login")}</th>
          <th className="num">{t("user.age")}</th>
          <td />
        </tr>
      </thead>
      <tbody>
        {users.map((user) => (
          <UserRow key={user.name} user={user} self={user.name === self} />
        ))}
      </tbody>
    </table>
  </Scroll>
);

/** Accounts and roles; for admins only. */
export function Page() {
  const me = useSession().data?.user;
  const allowed = me !== undefined && granted(me.role, "admin");
  const query = useUsers(allowed);
  return (
    <div className="page">
      <header>
        <h1>{t("nav.users")}</h1>
      </header>
      {!allowed ? (
        <Empty title={t("reason.admin")} />
      ) : (
        <div className="two-columns">
          <Card title={t("user.all")} flush>
            <Await query={query}>{(list) => <Table users={list.items} self={me.name} />}</Await>
          </Card>
          <NewUser />
        </div>
      )}
    </div>
  );
}
