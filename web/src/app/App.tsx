import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useEffect } from "react";
import { ApiError, setUnauthorisedHandler } from "../api/client";
import { Login } from "../features/session/Login";
import { MustChangePassword } from "../features/session/Password";
import { endSession, useSession } from "../features/session/api";
import { Loading, Problem } from "../ui/states";
import { client } from "./client";
import { router } from "./router";

function Gate() {
  const session = useSession();
  useEffect(() => setUnauthorisedHandler(endSession), []);
  if (session.error instanceof ApiError && session.error.status === 401) return <Login />;
  if (session.error) return <Problem error={session.error} retry={session.refetch} />;
  if (!session.data) return <Loading />;
  if (session.data.user.must_change_password) return <MustChangePassword user={session.data.user.name} />;
  return <RouterProvider router={router} />;
}

export const App = () => (
  <QueryClientProvider client={client}>
    <Gate />
  </QueryClientProvider>
);
