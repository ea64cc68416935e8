// A timeline in Chrome's trace format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "results/timeline/timeline.h"

namespace bakeoff {

// {"traceEvents": [...]}: a process and a thread for each lane by their names, the phases of requests as slices that
// nest, the state of each lane as slices of a thread of its own, arrows (flows) that follow each request from lane to
// lane, and two counters: connections stalled, disk queue. Times in us from the timeline's beginning.
nlohmann::ordered_json to_chrome_trace(const Timeline& timeline);

// What is wrong with a trace by the format's rules, in one sentence each; empty: nothing. Checked: the fields that each
// kind of event must have, that slices of a thread nest, that flows begin once and end once, within slices and in the
// order of time, that each process and thread has a name, that counters have numbers.
std::vector<std::string> faults_of_chrome_trace(const nlohmann::json& trace);

}  // namespace bakeoff
