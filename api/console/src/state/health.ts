// The health of the data of the whole park: asked once for the frame and for the pages that show it.
import { effectScope } from "vue";
import { api, dataOf } from "../api";
import { useAnswer } from "./answer";

// It lives as long as the console does.
export const health = effectScope(true).run(() =>
  useAnswer(
    () => "park",
    (_, signal) => dataOf(api.GET("/api/v1/health/data", { signal })),
  ),
)!;
