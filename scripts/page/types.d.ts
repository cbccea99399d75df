// What the server of the page answers, as types: the modules in src/page/assets/ are checked against them (tsconfig.json beside this).
// No code, and nothing of the page's own state. Invariant: one name for one shape of an answer.

interface TaskLabel {
  name: string;
  description: string | null;
}

interface RunInfo {
  task: string;
  labels: TaskLabel[];
  teachers: string[];
  directory: string;
  version: string;
  live: boolean;
  correctable: boolean;
  /** null before there are labels. */
  refinery: string | null;
}

type Phase = "annotating" | "settling" | "complete" | "stopped";

interface NewLabel {
  id: string;
  text: string;
  label: string;
  confidence: number;
}

/** Amounts are decimals in strings. */
interface Status {
  phase: Phase;
  total: number | null;
  done: number;
  rows: number;
  pending: number;
  bad_rows: number;
  placed: number;
  failed: number;
  unanswered: number;
  answered: number;
  asked: number;
  in_flight: number;
  retries: number;
  pause: { seconds: number; why: string } | null;
  cost: string;
  spent: string;
  spent_before: string;
  max_cost: string | null;
  consumed: number;
  events: number;
  steps: number;
  pass: number;
  max_passes: number;
  elapsed_s: number;
  newest: NewLabel[];
  calibration_doubt: string | null;
}

interface StatusAnswer {
  live: boolean;
  status: Status | null;
  /** The logs are still being read for the first time: there is more than is shown. */
  reading?: boolean;
  /** What is wrong with the files, a sentence each. */
  problems?: string[];
}

interface Overview {
  texts: number;
  labelled: number;
  final: number;
  corrected: number;
  failed: number;
  events: number;
  distribution: { label: string; count: number }[];
  confidence: number[];
  set_sizes: { size: number; count: number }[];
  by: { by: string; count: number }[];
  agreement: { teacher: string; answered: number; agrees: number }[];
  changes: { texts: number; changed: number }[];
  calibration_doubt: string | null;
}

interface Other {
  label: string;
  confidence: number;
}

interface Row {
  position: number;
  id: string;
  /** Of the whole text: sent with what is decided of it. */
  text_hash: string;
  text: string;
  cut: boolean;
  label: string | null;
  confidence: number | null;
  margin: number | null;
  others: Other[] | null;
  candidates: string[];
  by: string | null;
  final: boolean;
  revision: number;
  corrected: boolean;
  /** In the sample of the audit that goes on: it cannot be corrected. */
  audited?: boolean;
}

interface RowPage {
  total: number;
  version: number;
  /** The search for a text ran out of time: only the first `searched` texts were looked at. */
  partial?: boolean;
  searched?: number | null;
  rows: Row[];
}

interface TeacherAnswer {
  attempt: number;
  /** As received; null from a recording. */
  raw: string | null;
  reasoning: string | null;
  problem: string | null;
}

interface TeacherSaid {
  teacher: string;
  labels: string[];
  weights: number[];
  answers: TeacherAnswer[];
}

interface HistoryEvent {
  offset: number;
  label: string;
  confidence: number;
  by: string;
  final: boolean;
  revision: number;
  student: number;
}

interface Nearest {
  position: number;
  id: string;
  text: string;
  label: string | null;
  /** 0 to 1. */
  similarity: number;
}

interface Detail extends Row {
  teachers?: TeacherSaid[];
  failure?: string | null;
  history?: HistoryEvent[];
  correction?: { label: string; who: string | null; note: string | null } | null;
  nearest?: Nearest[];
  /** Looking for answers and history ran out of time. */
  partial?: boolean;
}

/** How right labels are said to be, by their confidences alone. */
interface Expected {
  labelled: number;
  /** null before there is a label. */
  right: number | null;
  calibration_doubt: string | null;
}

interface Estimates {
  expected: Expected;
  /** null where no text was looked at. */
  changed: Share | null;
}

interface ReviewPage {
  remaining: number;
  expected: Expected;
  rows: Row[];
}

/** A share with its 95% interval. */
interface Share {
  estimate: number;
  low: number;
  high: number;
}

interface Audit {
  seed: number;
  drawn_at: string;
  draws: number[];
  drawn: number;
  filled: number;
  /** Those from the beginning of the sample on without a gap. */
  counted: number;
  population: number;
  open: boolean;
  ended_at: string | null;
  /** Labels that were taken as corrections; null before. */
  corrected: number | null;
}

interface AuditFigures {
  audited: number;
  accuracy: Share;
  calibration: { mean: number; above_accuracy: Share; error: Share };
  epsilon: number;
  delta: number;
  threshold: { confidence: number; labels: number; audited: number; wrong: number } | null;
  says: string;
}

interface AuditNow {
  audit: Audit | null;
  population: number;
  most: number;
  figures: AuditFigures | null;
  doubts: string[];
  /** Told with figures. */
  differences: Difference[];
  reading: boolean;
}

/** A text of which the run has another label than who audited it. */
interface Difference {
  position: number;
  text: string;
  said: string;
  label: string;
  confidence: number;
}

/** A text to label; nothing that the run says of it. */
interface ToAudit {
  position: number;
  id: string;
  text_hash: string;
  text: string;
  cut: boolean;
  choices: string[];
}

interface AuditQueuePage {
  remaining: number;
  rows: ToAudit[];
}
