import { ref, watchEffect } from "vue";

export type Lang = "zh" | "en";

export interface Name {
  zh?: string;
  en?: string;
}

const KEY = "parktwin.lang";

/** Every text of the console, Chinese first. */
const TEXT = {
  min: ["最小", "min"],
  max: ["最大", "max"],
  title: ["化工园区孪生", "Chemical park twin"],
  switch: ["English", "中文"],
  simulated: ["模拟数据 SIMULATED", "SIMULATED 模拟数据"],
  sim: ["模拟", "SIM"],
  simHint: ["该数值来自模拟器", "This value comes from a simulator"],
  cycle: ["最新周期", "Newest cycle"],
  link: ["实时连接", "Live feed"],
  connecting: ["连接中", "connecting"],
  connected: ["已连接", "connected"],
  reconnecting: ["重新连接中", "reconnecting"],
  stale: ["数据陈旧", "stale"],
  enterprises: ["在线企业", "Enterprises fresh"],
  apiDown: [
    "服务中断：显示的是最后一次收到的数值，正在自动恢复",
    "Service interrupted: last received values are shown, recovering by itself",
  ],
  waiting: ["正在等待园区模型…", "Waiting for the park model…"],
  scope: ["范围", "Scope"],
  ribbon: ["氯平衡", "Chlorine ribbon"],
  production: ["产氯量（法拉第）", "Production (Faraday)"],
  consumption: ["用氯量", "Consumption"],
  inventory: ["液氯库存", "Liquid chlorine inventory"],
  unaccounted: ["未平衡量", "Unaccounted"],
  ofProduction: ["占产量", "of production"],
  unmeasured: ["未计量或无值", "no meter or no value"],
  noStreams: ["该范围内没有氯物流", "No chlorine streams in this scope"],
  market: ["外销 / 外购", "Market"],
  marketSink: ["外销", "Sold outside"],
  marketSource: ["外购", "Bought outside"],
  atmosphere: ["大气", "Atmosphere"],
  chlorine: ["氯气", "Chlorine gas"],
  anyChlorine: ["氯", "Chlorine"],
  liquid_chlorine: ["液氯", "Liquid chlorine"],
  hydrogen: ["氢气", "Hydrogen"],
  hydrogen_chloride: ["氯化氢", "Hydrogen chloride"],
  hydrochloric_acid_31: ["31% 盐酸", "Hydrochloric acid 31 %"],
  caustic_32: ["32% 液碱", "Caustic 32 %"],
  caustic_50: ["50% 液碱", "Caustic 50 %"],
  carbon_dioxide: ["二氧化碳", "Carbon dioxide"],
  syngas: ["合成气", "Syngas"],
  ammonia: ["合成氨", "Ammonia"],
  urea: ["尿素", "Urea"],
  steam: ["蒸汽", "Steam"],
  caustic: ["烧碱", "Caustic soda"],
  aluminium: ["电解铝", "Aluminium"],
  pvc: ["聚氯乙烯", "PVC"],
  methanol: ["甲醇", "Methanol"],
  electricity: ["电", "Electricity"],
  tanks: ["液氯罐区", "Liquid chlorine tank farm"],
  tank: ["储罐", "Tank"],
  limit: ["限值", "limit"],
  overLimit: ["超限", "over limit"],
  total: ["合计", "Total"],
  noTanks: ["该范围内没有液氯储罐", "No liquid chlorine tanks in this scope"],
  energy: ["单位产品能耗", "Unit product energy"],
  noProducts: ["该范围内没有产品", "No products in this scope"],
  lastHours: ["曲线为最近 24 小时内的整点值", "curve: full hours of the last 24"],
  lastHour: ["最近整点小时", "last full hour"],
  benchmark: ["标杆", "benchmark"],
  baseline: ["基准", "baseline"],
  unverified: ["参考值，未核实", "reference, unverified"],
  verified: ["限额值，已核实", "reference, verified"],
  noReference: ["无参考值", "no reference"],
  worseThanBaseline: ["劣于基准", "worse than baseline"],
  completeness: ["完整率", "Completeness"],
  balance: ["物料平衡", "Balances"],
  check: ["平衡校核", "Balance check"],
  closes: ["闭合", "closes"],
  opens: ["不闭合", "does not close"],
  chi2Limit: ["，限值 ", " of "],
  dof: ["，自由度 ", ", dof "],
  suspects: ["可疑：", "Suspect: "],
  or: [" 或 ", " or "],
  then: ["；", "; "],
  noCheck: ["没有数据", "No data"],
  unchecked: [
    "没有冗余的计量，无可校核",
    "No measured stream is redundant: there is nothing to check",
  ],
  contradictory: [
    "准确已知的流量之间互相矛盾",
    "Balances between exactly known flows contradict each other",
  ],
  checkHint: [
    "不确定度为标准不确定度 σ；|z| 越大，该计量越可疑；“或”之间无法区分",
    "± is the standard uncertainty σ; the greater |z|, the more suspect the meter; meters joined by “or” cannot be told apart",
  ],
  stream: ["物流", "Stream"],
  measured: ["测量值 ± σ", "Measured ± σ"],
  estimate: ["校正值 ± σ", "Estimate ± σ"],
  adjustment: ["校正量 |z|", "Adjustment |z|"],
  detectable: ["最小可检偏差", "Least detectable bias"],
  notCheckable: ["不可校核", "not checkable"],
  electrolysers: ["电解槽", "Electrolysers"],
  faraday: ["法拉第", "Faraday"],
  stock: ["库存", "Stock"],
  close: ["关闭", "Close"],
  medium: ["介质", "Medium"],
  make: ["产", "Make"],
  use: ["用", "Use"],
  import: ["进", "In"],
  export: ["出", "Out"],
  vent: ["放空", "Vent"],
  change: ["库存变化", "Δ stock"],
  trend: ["趋势", "Trend"],
  searchTag: ["搜索位号…", "search tags…"],
  noTags: ["没有匹配的位号", "No tag matches"],
  mean: ["均值", "mean"],
  band: ["最小–最大", "min–max"],
  suspect: ["可疑/坏值", "uncertain or bad"],
  resolution: ["分辨率", "resolution"],
  noSamples: ["该时段没有数据", "No samples in this period"],
  health: ["数据健康", "Data health"],
  enterprise: ["企业", "Enterprise"],
  tags: ["位号", "Tags"],
  fresh: ["新鲜", "Fresh"],
  staleTags: ["陈旧", "Stale"],
  never: ["从未收到", "Never"],
  ingest: ["采集", "Ingest"],
  brokerConnected: ["消息代理已连接", "broker connected"],
  brokerLost: ["消息代理断开", "broker lost"],
  lag: ["延迟", "lag"],
  samples: ["样本", "samples"],
  rejected: ["拒收", "rejected"],
  quarantined: ["隔离", "quarantined"],
  duplicates: ["重复", "duplicates"],
  corrections: ["更正", "corrections"],
  late: ["迟到", "late"],
  dropped: ["丢弃", "dropped"],
  loadFailed: ["读取失败", "Read failed"],
  good: ["良好", "good"],
  uncertain: ["不确定", "uncertain"],
  bad: ["坏值", "bad"],
  none: ["", ""],
  out_of_range: ["超出量程", "out of range"],
  substituted: ["替代值", "substituted"],
  not_connected: ["未连接", "not connected"],
  not_a_number: ["非数值", "not a number"],
  fault: ["故障", "fault"],
  maintenance: ["检修", "maintenance"],
  calibration: ["校准", "calibration"],
  incomplete: ["数据不完整", "incomplete"],
  manual: ["人工录入", "manual"],
} satisfies Record<string, [string, string]>;

export type TextKey = keyof typeof TEXT;

function remembered(): Lang {
  try {
    return localStorage.getItem(KEY) === "en" ? "en" : "zh";
  } catch {
    return "zh"; // Storage may be forbidden on a locked-down control-room machine.
  }
}

export const lang = ref<Lang>(remembered());

watchEffect(() => {
  document.documentElement.lang = lang.value === "zh" ? "zh-CN" : "en";
});

export function toggleLang(): void {
  lang.value = lang.value === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(KEY, lang.value);
  } catch {
    // The choice then lasts until the page is closed.
  }
}

export const t = (key: TextKey): string => TEXT[key][lang.value === "zh" ? 0 : 1];

/** The text of a word that came from the server (a medium, a product), or the word itself. */
export const word = (id: string): string =>
  id in TEXT ? t(id as TextKey) : id.replaceAll("_", " ");

export const nameOf = (name: Name | undefined, id: string): string =>
  name?.[lang.value] ?? name?.zh ?? name?.en ?? id.split("/").at(-1) ?? id;
