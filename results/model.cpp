#include "results/model.h"

#include <algorithm>
#include <set>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

using nlohmann::json;

json number_or_null(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

std::optional<double> optional_number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return found->get<double>();
}

json to_json(const Figure& figure) {
  return {{"median", number_or_null(figure.median)},
          {"lower", number_or_null(figure.lower)},
          {"upper", number_or_null(figure.upper)},
          {"n", figure.n}};
}

Figure figure_from_json(const json& object) {
  return {optional_number(object, "median"), optional_number(object, "lower"), optional_number(object, "upper"),
          object.at("n").get<std::uint32_t>()};
}

json& place(json& object, const MetricName& metric) {
  return *metric.group == '\0' ? object[metric.name] : object[metric.group][metric.name];
}

// Null where a result was written before there was this figure.
json find(const json& object, const MetricName& metric) {
  const json& group = *metric.group == '\0' ? object : object.at(metric.group);
  return group.value(metric.name, json());
}

json to_json(const Figures& figures) {
  json object = json::object();
  for (const MetricName& metric : metric_table) place(object, metric) = number_or_null(figures[metric.metric]);
  return object;
}

Figures figures_from_json(const json& object) {
  Figures figures;
  for (const MetricName& metric : metric_table) {
    const json value = find(object, metric);
    if (!value.is_null()) figures[metric.metric] = value.get<double>();
  }
  return figures;
}

// Of several attempts at one trial the last one counts: the earlier ones were repeated for a reason.
std::vector<Trial> last_attempts(const std::vector<Trial>& trials) {
  std::map<TrialKey, Trial> last;
  for (const Trial& trial : trials) {
    const auto found = last.find(trial.key);
    if (found == last.end() || found->second.attempt <= trial.attempt) last.insert_or_assign(trial.key, trial);
  }
  std::vector<Trial> counted;
  for (auto& [key, trial] : last) counted.push_back(std::move(trial));
  return counted;
}

std::string of(std::size_t some, std::size_t all) {
  return std::to_string(some) + " of " + std::to_string(all) + (all == 1 ? " trial" : " trials");
}

}  // namespace

const char* to_string(Phase phase) { return phase == Phase::sweep ? "sweep" : "final"; }

std::string path_of(const MetricName& metric) { return (*metric.group == '\0' ? "" : std::string(metric.group) + ".") + metric.name; }

const MetricName* find_metric(std::string_view path) {
  const auto found = std::find_if(metric_table.begin(), metric_table.end(), [&](const MetricName& metric) { return path_of(metric) == path; });
  return found == metric_table.end() ? nullptr : &*found;
}

void derive_figures(Figures& figures) {
  const auto positive = [&](Metric metric) -> std::optional<double> {
    const auto& value = figures[metric];
    return value && *value > 0 ? value : std::nullopt;
  };
  const auto rate = positive(Metric::replies_per_s), cpu_us = positive(Metric::server_cpu_us_per_reply), memory = positive(Metric::memory_bytes);
  const auto& response = figures[Metric::latency_mean_ms];
  const auto &idle = figures[Metric::cpu_idle_share], &iowait = figures[Metric::cpu_iowait_share];
  if (rate) figures[Metric::execution_time_s] = 100'000 / *rate;
  // CPU time and response time are taken over slightly different parts of a trial: never less than nothing.
  if (response && cpu_us) figures[Metric::waiting_ms] = std::max(0.0, *response - *cpu_us * 1e-3);
  if (idle && iowait) figures[Metric::cpu_utilisation] = 1 - *idle - *iowait;
  if (cpu_us) figures[Metric::replies_per_cpu_s] = 1e6 / *cpu_us;
  if (rate && memory) figures[Metric::replies_per_s_per_mb] = *rate / (*memory * 1e-6);
}

CellResult summarise(const Cell& cell, const std::vector<Trial>& trials) {
  CellResult result;
  result.cell = cell;
  for (const Trial& trial : trials) {
    if (trial.key.cell_id == cell.id) result.trials.push_back(trial);
  }
  if (result.trials.empty()) {
    result.reasons.push_back("not measured");
    return result;
  }

  std::vector<Trial> counted = last_attempts(result.trials);
  const auto erase_unless = [&](auto wanted) {
    counted.erase(std::remove_if(counted.begin(), counted.end(), [&](const Trial& trial) { return !wanted(trial); }), counted.end());
  };
  result.is_final = std::any_of(counted.begin(), counted.end(), [](const Trial& trial) { return trial.key.phase == Phase::final; });
  if (result.is_final) erase_unless([](const Trial& trial) { return trial.key.phase == Phase::final; });

  const std::size_t asked = counted.size();
  const auto count = [&](auto wanted) { return static_cast<std::size_t>(std::count_if(counted.begin(), counted.end(), wanted)); };
  const std::size_t unsteady = count([](const Trial& trial) { return trial.valid && !trial.steady; });
  const std::size_t steady = count([](const Trial& trial) { return trial.valid && trial.steady; });
  if (unsteady > 0 && steady >= 2 && steady * 2 >= asked) {
    erase_unless([](const Trial& trial) { return trial.steady || !trial.valid; });
    result.reasons.push_back(of(unsteady, asked) + " left out: not steady");
  } else if (unsteady > 0) {
    result.reasons.push_back(of(unsteady, asked) + " not steady");
  }

  const std::size_t all = counted.size();
  std::map<std::string, std::size_t> why;
  for (const Trial& trial : counted) {
    for (const std::string& reason : trial.reasons) ++why[reason];
  }
  for (const auto& [reason, times] : why) {
    result.reasons.push_back(times == all ? reason : of(times, all) + ": " + reason);
  }
  erase_unless([](const Trial& trial) { return trial.valid; });
  result.valid = counted.size() * 2 > all;
  // An invalid cell shows what its trials showed, hollow: better than a hole in the table.
  if (!result.valid) {
    counted = last_attempts(result.trials);
    if (result.is_final) erase_unless([](const Trial& trial) { return trial.key.phase == Phase::final; });
  }

  for (const MetricName& metric : metric_table) {
    std::vector<double> values;
    for (const Trial& trial : counted) {
      if (const auto& value = trial.figures[metric.metric]) values.push_back(*value);
    }
    result.summary[metric.metric] = figure_of(values);
  }
  for (Trial& trial : result.trials) {
    trial.counted = std::any_of(counted.begin(), counted.end(), [&](const Trial& one) {
      return one.key == trial.key && one.attempt == trial.attempt;
    });
  }
  return result;
}

const Figure& ranking_figure(const CellResult& cell) {
  const Figure& relative = cell.summary[Metric::relative_to_ceiling];
  return relative.median ? relative : cell.summary[Metric::throughput_mbps];
}

std::string contest_of(const Cell& cell) {
  std::string contest;
  for (const auto& [key, value] : cell.workload_set) contest += (contest.empty() ? "" : "/") + key + "=" + value;
  return contest;
}

std::vector<std::string> contests(const std::vector<CellResult>& cells) {
  std::vector<std::string> all;
  for (const CellResult& cell : cells) {
    const std::string contest = contest_of(cell.cell);
    if (std::find(all.begin(), all.end(), contest) == all.end()) all.push_back(contest);
  }
  return all;
}

const CellResult* best_cell(const std::vector<CellResult>& cells, const std::string& server, const std::string& contest) {
  const CellResult* best = nullptr;
  for (const CellResult& cell : cells) {
    if (cell.cell.server != server || contest_of(cell.cell) != contest || !cell.valid || !ranking_figure(cell).median) continue;
    // Once a cell was measured again it stays the server's best: a sweep's lucky maximum must not push it aside.
    if (best != nullptr && best->is_final && !cell.is_final) continue;
    const bool confirmed = best != nullptr && cell.is_final && !best->is_final;
    if (best == nullptr || confirmed || *ranking_figure(cell).median > *ranking_figure(*best).median) best = &cell;
  }
  return best;
}

std::vector<Best> rank(const std::vector<CellResult>& cells) {
  std::vector<Best> ranking;
  for (const std::string& contest : contests(cells)) {
    std::vector<const CellResult*> winners;
    std::set<std::string> seen;
    for (const CellResult& cell : cells) {
      if (!seen.insert(cell.cell.server).second) continue;
      if (const CellResult* best = best_cell(cells, cell.cell.server, contest)) winners.push_back(best);
    }
    std::stable_sort(winners.begin(), winners.end(), [](const CellResult* a, const CellResult* b) {
      return *ranking_figure(*a).median > *ranking_figure(*b).median;
    });
    for (std::size_t i = 0; i < winners.size(); ++i) {
      Best best{winners[i]->cell.server, winners[i]->cell.id, contest, 1, static_cast<std::uint32_t>(winners.size())};
      for (std::size_t other = 0; other < winners.size(); ++other) {
        if (other == i || cannot_tell_apart(ranking_figure(*winners[i]), ranking_figure(*winners[other]))) continue;
        if (other < i) ++best.rank_from;
        if (other > i) --best.rank_to;
      }
      ranking.push_back(std::move(best));
    }
  }
  return ranking;
}

json to_json(const Trial& trial) {
  json object = {{"schema_version", result_schema_version},
                 {"phase", to_string(trial.key.phase)},
                 {"block", trial.key.block},
                 {"cell", trial.key.cell_id},
                 {"attempt", trial.attempt},
                 {"started", trial.started},
                 {"valid", trial.valid},
                 {"reasons", trial.reasons},
                 {"counted", trial.counted},
                 {"ceiling_replies_per_s", {{"before", number_or_null(trial.ceiling_before)}, {"after", number_or_null(trial.ceiling_after)}}},
                 {"steady", trial.steady},
                 {"figures", to_json(trial.figures)}};
  if (!trial.evidence.is_null()) object["evidence"] = trial.evidence;
  return object;
}

Trial trial_from_json(const json& object) {
  if (object.at("schema_version").get<int>() > result_schema_version) throw UsageError("written by a newer version of bakeoff");
  Trial trial;
  const auto phase = object.at("phase").get<std::string>();
  if (phase != "sweep" && phase != "final") throw UsageError("phase: expected sweep or final, got " + phase);
  trial.key = {phase == "final" ? Phase::final : Phase::sweep, object.at("block").get<std::uint32_t>(), object.at("cell").get<std::string>()};
  trial.attempt = object.at("attempt").get<std::uint32_t>();
  trial.started = object.at("started").get<std::string>();
  trial.valid = object.at("valid").get<bool>();
  trial.reasons = object.at("reasons").get<std::vector<std::string>>();
  trial.counted = object.at("counted").get<bool>();
  trial.ceiling_before = optional_number(object.at("ceiling_replies_per_s"), "before");
  trial.ceiling_after = optional_number(object.at("ceiling_replies_per_s"), "after");
  trial.steady = object.at("steady").get<bool>();
  trial.figures = figures_from_json(object.at("figures"));
  if (const auto evidence = object.find("evidence"); evidence != object.end()) trial.evidence = *evidence;
  return trial;
}

json to_json(const ExperimentResult& result) {
  json cells = json::array();
  for (const CellResult& cell : result.cells) {
    json trials = json::array();
    for (const Trial& trial : cell.trials) {
      Trial without_evidence = trial;
      without_evidence.evidence = nullptr;
      trials.push_back(to_json(without_evidence));
    }
    json summary = json::object();
    for (const MetricName& metric : metric_table) place(summary, metric) = to_json(cell.summary[metric.metric]);
    cells.push_back({{"id", cell.cell.id},
                     {"server", cell.cell.server},
                     {"architecture", cell.cell.architecture},
                     {"variant", cell.cell.variant},
                     {"options", cell.cell.options},
                     {"workload", cell.cell.workload},
                     {"workload_set", cell.cell.workload_set},
                     {"load", {{"model", cell.cell.load_model}, {"connections", cell.cell.connections}, {"rate", number_or_null(cell.cell.rate)}, {"bodies", cell.cell.bodies_discarded ? "discarded" : "copied"}}},
                     {"workers", cell.cell.workers},
                     {"connections", cell.cell.connections},
                     {"trials", std::move(trials)},
                     {"valid", cell.valid},
                     {"reasons", cell.reasons},
                     {"is_final", cell.is_final},
                     {"summary", std::move(summary)}});
  }
  json best = json::array();
  for (const Best& one : result.best) {
    best.push_back({{"server", one.server}, {"cell", one.cell_id}, {"contest", one.contest}, {"rank_from", one.rank_from}, {"rank_to", one.rank_to}});
  }
  return {{"schema_version", result_schema_version},
          {"experiment", {{"name", result.name}, {"spec_sha256", result.spec_sha256}, {"complete", result.complete}}},
          {"environment", result.environment},
          {"cells", std::move(cells)},
          {"best", std::move(best)}};
}

ExperimentResult result_from_json(const json& object) {
  try {
    const int version = object.at("schema_version").get<int>();
    if (version > result_schema_version) {
      throw UsageError("the result has schema version " + std::to_string(version) + ", this bakeoff reads up to " +
                       std::to_string(result_schema_version) + "; use a newer bakeoff");
    }
    ExperimentResult result;
    result.name = object.at("experiment").at("name").get<std::string>();
    result.spec_sha256 = object.at("experiment").at("spec_sha256").get<std::string>();
    result.complete = object.at("experiment").at("complete").get<bool>();
    result.environment = object.at("environment");
    for (const json& one : object.at("cells")) {
      CellResult cell;
      cell.cell.id = one.at("id").get<std::string>();
      cell.cell.server = one.at("server").get<std::string>();
      cell.cell.architecture = one.at("architecture").get<std::string>();
      cell.cell.variant = one.at("variant").get<std::string>();
      cell.cell.options = one.at("options").get<std::map<std::string, std::string>>();
      cell.cell.workload = one.at("workload").get<std::string>();
      cell.cell.workload_set = one.value("workload_set", std::map<std::string, std::string>{});  // older results have none
      cell.cell.load_model = one.at("load").at("model").get<std::string>();
      cell.cell.rate = optional_number(one.at("load"), "rate");
      cell.cell.bodies_discarded = one.at("load").at("bodies") == "discarded";
      cell.cell.connections = one.at("connections").get<std::uint32_t>();
      cell.cell.workers = one.at("workers").get<std::uint32_t>();
      for (const json& trial : one.at("trials")) cell.trials.push_back(trial_from_json(trial));
      cell.valid = one.at("valid").get<bool>();
      cell.reasons = one.at("reasons").get<std::vector<std::string>>();
      cell.is_final = one.at("is_final").get<bool>();
      for (const MetricName& metric : metric_table) {
        if (const json figure = find(one.at("summary"), metric); !figure.is_null()) cell.summary[metric.metric] = figure_from_json(figure);
      }
      result.cells.push_back(std::move(cell));
    }
    for (const json& one : object.at("best")) {
      result.best.push_back({one.at("server").get<std::string>(), one.at("cell").get<std::string>(), one.value("contest", ""),
                             one.at("rank_from").get<std::uint32_t>(), one.at("rank_to").get<std::uint32_t>()});
    }
    return result;
  } catch (const json::exception& error) {
    throw UsageError(std::string("not a result of bakeoff: ") + error.what());
  }
}

}  // namespace bakeoff
