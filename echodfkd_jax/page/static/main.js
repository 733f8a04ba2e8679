// The page: clips on the tray, one of them at work.

import { Tray } from "./tray.js";
import { Workplace } from "./workplace.js";

const workplace = new Workplace({ changed: (id, now) => tray.summarise(id, now) });
const tray = new Tray({ opened: (id, moveFocus) => workplace.open(id, moveFocus) });
tray.restore();
