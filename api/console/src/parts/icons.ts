// Icons of 24 × 24, drawn as lines.
export const ICONS = {
  overview: "M3 4h8v7H3zM13 4h8v4h-8zM13 11h8v9h-8zM3 14h8v6H3z",
  plant: "M3 20V9l5 4V9l5 4V4h8v16zM16 8h2M16 12h2M16 16h2",
  bell: "M6 16V10a6 6 0 0 1 12 0v6l2 2H4zM10 21h4",
  chlorine: "M12 3c4 5 6 8 6 11a6 6 0 0 1-12 0c0-3 2-6 6-11zM9 15a3 3 0 0 0 3 3",
  balance: "M12 4v16M7 20h10M4 7h16M4 7l-2 6h5zM20 7l-3 6h5z",
  energy: "M13 2 5 14h6l-1 8 8-12h-6z",
  environment: "M5 20C4 10 10 4 20 4c0 10-5 16-13 14M5 20c2-6 5-9 9-11",
  target: "M5 21V4M5 5h13l-3 4 3 4H5",
  exchange: "M4 8h14l-4-4M20 16H6l4 4",
  trend: "M3 3v18h18M6 16l4-5 4 3 6-8",
  desk: "M3 13l3-8h12l3 8v6H3zM3 13h5l2 3h4l2-3h5",
  report: "M6 3h9l4 4v14H6zM9 11h7M9 15h7M15 3v4h4",
  gear: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l4 2",
  close: "M5 5l14 14M19 5 5 19",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.4-1 .8-1 1.7M12 16.5v.5",
  theme: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  fold: "M15 5l-7 7 7 7",
  unfold: "M9 5l7 7-7 7",
  back: "M20 12H5M11 6l-6 6 6 6",
  person: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c0-4 3.5-6 8-6s8 2 8 6",
  tree: "M4 4h6v4H4zM14 10h6v4h-6zM14 17h6v4h-6zM7 8v11h7M7 12h7",
} as const;

export type IconName = keyof typeof ICONS;
