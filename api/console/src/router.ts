// The pages of the console: one row makes the address, the entry of the rail and the tests of a page.
import { createRouter, createWebHistory, type RouteRecordRaw } from "vue-router";
import type { IconName } from "./parts/icons";

export interface Page {
  name: string; // of the route; its address is /{path}, by default /{name}
  path?: string;
  icon: IconName;
  title: readonly [zh: string, en: string];
  load: () => Promise<unknown>;
  onPhone?: boolean; // in the rail of a small screen, too
}

/** In the order of the rail. The component is loaded with its page. */
export const PAGES: readonly Page[] = [
  {
    name: "overview",
    icon: "overview",
    title: ["总览", "Overview"],
    load: () => import("./pages/overview/OverviewPage.vue"),
    onPhone: true,
  },
  {
    name: "alarms",
    icon: "bell",
    title: ["报警", "Alarms"],
    load: () => import("./pages/alarms/AlarmsPage.vue"),
    onPhone: true,
  },
  {
    name: "units",
    icon: "plant",
    title: ["装置", "Plants"],
    load: () => import("./pages/units/UnitsPage.vue"),
  },
  {
    name: "chlorine",
    icon: "chlorine",
    title: ["氯", "Chlorine"],
    load: () => import("./pages/chlorine/ChlorinePage.vue"),
  },
  {
    name: "balances",
    icon: "balance",
    title: ["平衡", "Balances"],
    load: () => import("./pages/balances/BalancesPage.vue"),
  },
  {
    name: "trends",
    icon: "trend",
    title: ["趋势", "Trends"],
    load: () => import("./pages/trends/TrendsPage.vue"),
  },
  {
    name: "energy",
    icon: "energy",
    title: ["能源与碳", "Energy and carbon"],
    load: () => import("./pages/energy/EnergyPage.vue"),
  },
  {
    name: "environment",
    icon: "environment",
    title: ["环境", "Environment"],
    load: () => import("./pages/environment/EnvironmentPage.vue"),
  },
  {
    name: "targets",
    icon: "target",
    title: ["目标与互供", "Targets and exchange"],
    load: () => import("./pages/targets/TargetsPage.vue"),
  },
  {
    name: "desk",
    icon: "desk",
    title: ["数据台", "Data desk"],
    load: () => import("./pages/desk/DeskPage.vue"),
  },
  {
    name: "reports",
    icon: "report",
    title: ["报告", "Reports"],
    load: () => import("./pages/reports/ReportsPage.vue"),
  },
  {
    name: "admin",
    icon: "gear",
    title: ["管理", "Admin"],
    load: () => import("./pages/admin/AdminPage.vue"),
  },
];

const routes: RouteRecordRaw[] = [
  { path: "/", redirect: (to) => ({ name: "overview", query: to.query }) },
  ...PAGES.map((page) => ({
    path: `/${page.path ?? page.name}`,
    name: page.name,
    component: page.load as RouteRecordRaw["component"],
  })),
  { path: "/:other(.*)*", name: "unknown", component: () => import("./frame/UnknownPage.vue") },
] as RouteRecordRaw[];

export const router = createRouter({ history: createWebHistory(), routes });
