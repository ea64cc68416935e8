#include "results/model.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

using nlohmann::json;

json text_or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }
std::string text_or_empty(const json& text) { return text.is_null() ? "" : text.get<std::string>(); }

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
          whole_number<std::uint32_t>(object.at("n"))};
}

json& place(json& object, const MetricName& metric) {
  return *metric.group == '\0' ? object[metric.name] : object[metric.group][metric.name];
}

// Null where a result was written before there was this figure.
json find(const json& object, const MetricName& metric) {
  const json& group = *metric.group == '\0' ? object : object.at(metric.group);
  return group.value(metric.name, json());
}

void check_version(int version) {
  if (version == result_schema_version) return;
  throw UsageError(fmt::format(
      "the result has schema version {}, this bakeoff reads version {}; {}", version, result_schema_version,
      version > result_schema_version ? "use a newer bakeoff"
                                      : "older versions summarised trials by another estimator, so measure again"));
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

}  // namespace

const char* to_string(Phase phase) { return phase == Phase::sweep ? "sweep" : "final"; }

std::string path_of(const MetricName& metric) {
  return (*metric.group == '\0' ? "" : std::string(metric.group) + ".") + metric.name;
}

const MetricName& name_of(Metric metric) {
  return *std::find_if(metric_table.begin(), metric_table.end(),
                       [&](const MetricName& one) { return one.metric == metric; });
}

const MetricName* find_metric(std::string_view path) {
  const auto found = std::find_if(metric_table.begin(), metric_table.end(),
                                  [&](const MetricName& metric) { return path_of(metric) == path; });
  return found == metric_table.end() ? nullptr : &*found;
}

void derive_figures(Figures& figures) {
  const auto positive = [&](Metric metric) -> std::optional<double> {
    const auto& value = figures[metric];
    return value && *value > 0 ? value : std::nullopt;
  };
  const auto rate = positive(Metric::replies_per_s), cpu_us = positive(Metric::server_cpu_us_per_reply),
             memory = positive(Metric::memory_bytes);
  const auto& response = figures[Metric::latency_mean_ms];
  const auto &idle = figures[Metric::cpu_idle_share], &iowait = figures[Metric::cpu_iowait_share];
  if (rate) figures[Metric::execution_time_s] = 100'000 / *rate;
  // CPU time and response time are taken over slightly different parts of a trial: never less than nothing.
  if (response && cpu_us) figures[Metric::waiting_ms] = std::max(0.0, *response - *cpu_us * 1e-3);
  if (idle && iowait) figures[Metric::cpu_utilisation] = 1 - *idle - *iowait;
  if (cpu_us) figures[Metric::replies_per_cpu_s] = 1e6 / *cpu_us;
  if (rate && memory) figures[Metric::replies_per_s_per_mb] = *rate / (*memory * 1e-6);
}

std::string contest_of(const Cell& cell) {
  std::string contest;
  for (const auto& [key, value] : cell.workload_set) contest += (contest.empty() ? "" : "/") + key + "=" + value;
  if (cell.rate) contest += (contest.empty() ? "rate=" : "/rate=") + rate_text(*cell.rate);
  return contest;
}

std::string rate_text(double rate) { return fmt::format("{:.10g}", rate); }

std::vector<std::string> contests(const std::vector<CellResult>& cells) {
  std::vector<std::string> all;
  for (const CellResult& cell : cells) {
    const std::string contest = contest_of(cell.cell);
    if (std::find(all.begin(), all.end(), contest) == all.end()) all.push_back(contest);
  }
  return all;
}

std::optional<double> measured_s_of(const Trial& trial) {
  return trial.counts ? std::optional(trial.counts->measured_s) : trial.measured_s;
}

json to_json(const Trial& trial) {
  json object = {{"schema_version", result_schema_version},
                 {"phase", to_string(trial.key.phase)},
                 {"block", trial.key.block},
                 {"cell", trial.key.cell_id},
                 {"attempt", trial.attempt},
                 {"started", trial.started},
                 {"void_causes", trial.void_causes},
                 {"failures", trial.failures},
                 {"remarks", trial.remarks},
                 {"counted", trial.counted},
                 {"ceiling_replies_per_s",
                  {{"before", number_or_null(trial.ceiling_before)}, {"after", number_or_null(trial.ceiling_after)}}},
                 {"drift", number_or_null(trial.drift)},
                 {"measured_s", number_or_null(measured_s_of(trial))},
                 {"figures", to_json(trial.figures)}};
  if (!trial.evidence.is_null()) {
    object["counts"] = trial.counts ? to_json(*trial.counts) : json(nullptr);
    object["evidence"] = trial.evidence;
  }
  return object;
}

Trial trial_from_json(const json& object) {
  check_version(whole_number<int>(object.at("schema_version")));
  Trial trial;
  const auto phase = object.at("phase").get<std::string>();
  if (phase != "sweep" && phase != "final") throw UsageError("phase: expected sweep or final, got " + phase);
  trial.key = {phase == "final" ? Phase::final : Phase::sweep, whole_number<std::uint32_t>(object.at("block")),
               object.at("cell").get<std::string>()};
  trial.attempt = whole_number<std::uint32_t>(object.at("attempt"));
  trial.started = object.at("started").get<std::string>();
  trial.void_causes = object.at("void_causes").get<std::vector<std::string>>();
  trial.failures = object.at("failures").get<std::vector<std::string>>();
  trial.remarks = object.at("remarks").get<std::vector<std::string>>();
  trial.counted = object.at("counted").get<bool>();
  trial.ceiling_before = optional_number(object.at("ceiling_replies_per_s"), "before");
  trial.ceiling_after = optional_number(object.at("ceiling_replies_per_s"), "after");
  trial.drift = optional_number(object, "drift");
  trial.measured_s = optional_number(object, "measured_s");
  trial.figures = figures_from_json(object.at("figures"));
  if (const json counts = object.value("counts", json()); !counts.is_null()) trial.counts = counts_from_json(counts);
  if (const auto evidence = object.find("evidence"); evidence != object.end()) trial.evidence = *evidence;
  return trial;
}

json to_json(const WarmUp& warm_up) {
  return {{"contest", warm_up.contest},
          {"seconds", warm_up.seconds},
          {"slowest", warm_up.slowest},
          {"unsettled", warm_up.unsettled}};
}

WarmUp warm_up_from_json(const json& object) {
  return {object.at("contest").get<std::string>(), object.at("seconds").get<double>(),
          object.at("slowest").get<std::string>(), object.at("unsettled").get<std::vector<std::string>>()};
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
    for (const MetricName& metric : metric_table) {
      place(summary, metric) = to_json(cell.summary[metric.metric]);
      if (*metric.group != '\0') place(summary, metric)["pooled"] = number_or_null(cell.summary.pooled[metric.metric]);
    }
    cells.push_back({{"id", cell.cell.id},
                     {"server", cell.cell.server},
                     {"architecture", cell.cell.architecture},
                     {"variant", cell.cell.variant},
                     {"options", cell.cell.options},
                     {"workload", cell.cell.workload},
                     {"workload_set", cell.cell.workload_set},
                     {"load",
                      {{"model", cell.cell.load_model},
                       {"connections", cell.cell.connections},
                       {"rate", number_or_null(cell.cell.rate)},
                       {"bodies", cell.cell.bodies_discarded ? "discarded" : "copied"}}},
                     {"workers", cell.cell.workers},
                     {"connections", cell.cell.connections},
                     {"trials", std::move(trials)},
                     {"valid", cell.valid},
                     {"reasons", cell.reasons},
                     {"void_trials", cell.void_trials},
                     {"is_final", cell.is_final},
                     {"summary", std::move(summary)}});
  }
  json best = json::array();
  for (const Best& one : result.best) {
    best.push_back({{"server", one.server},
                    {"cell", one.cell_id},
                    {"contest", one.contest},
                    {"rank_from", one.rank_from},
                    {"rank_to", one.rank_to},
                    {"of_first", to_json(one.of_first)}});
  }
  json peaks = json::array();
  for (const Peak& one : result.peaks) {
    peaks.push_back({{"cell", one.cell_id},
                     {"answers", one.answers},
                     {"rate", number_or_null(one.rate)},
                     {"lower", number_or_null(one.lower)},
                     {"upper", number_or_null(one.upper)},
                     {"within_tolerance", one.within_tolerance},
                     {"measured_cell", text_or_null(one.measured_cell)},
                     {"overload_cell", text_or_null(one.overload_cell)}});
  }
  json warm_ups = json::array();
  for (const WarmUp& one : result.warm_ups) warm_ups.push_back(to_json(one));
  json also = json::array();
  for (const Metric metric : result.also_ranked_by) also.push_back(path_of(name_of(metric)));
  return {{"schema_version", result_schema_version},
          {"experiment",
           {{"name", result.name},
            {"spec_sha256", result.spec_sha256},
            {"complete", result.complete},
            {"ranked_by", path_of(name_of(result.ranked_by))},
            {"also_ranked_by", also},
            {"turn_s", result.turn_s},
            {"warm_ups", std::move(warm_ups)}}},
          {"environment", result.environment},
          {"cells", std::move(cells)},
          {"best", std::move(best)},
          {"peaks", std::move(peaks)}};
}

ExperimentResult result_from_json(const json& object) {
  try {
    check_version(whole_number<int>(object.at("schema_version")));
    ExperimentResult result;
    result.name = object.at("experiment").at("name").get<std::string>();
    result.spec_sha256 = object.at("experiment").at("spec_sha256").get<std::string>();
    result.complete = object.at("experiment").at("complete").get<bool>();
    const auto ranked_by = object.at("experiment").at("ranked_by").get<std::string>();
    const MetricName* const by = find_metric(ranked_by);
    if (by == nullptr) throw UsageError("not a result of bakeoff: ranked_by: there is no figure " + ranked_by);
    result.ranked_by = by->metric;
    for (const json& one : object.at("experiment").value("also_ranked_by", json::array())) {
      if (const MetricName* const further = find_metric(one.get<std::string>()))
        result.also_ranked_by.push_back(further->metric);
    }
    result.turn_s = object.at("experiment").value("turn_s", 0.0);
    for (const json& one : object.at("experiment").at("warm_ups")) result.warm_ups.push_back(warm_up_from_json(one));
    result.environment = object.at("environment");
    for (const json& one : object.at("cells")) {
      CellResult cell;
      cell.cell.id = one.at("id").get<std::string>();
      cell.cell.server = one.at("server").get<std::string>();
      cell.cell.architecture = one.at("architecture").get<std::string>();
      cell.cell.variant = one.at("variant").get<std::string>();
      cell.cell.options = one.at("options").get<std::map<std::string, std::string>>();
      cell.cell.workload = one.at("workload").get<std::string>();
      cell.cell.workload_set = one.at("workload_set").get<std::map<std::string, std::string>>();
      cell.cell.load_model = one.at("load").at("model").get<std::string>();
      cell.cell.rate = optional_number(one.at("load"), "rate");
      cell.cell.bodies_discarded = one.at("load").at("bodies") == "discarded";
      cell.cell.connections = whole_number<std::uint32_t>(one.at("connections"));
      cell.cell.workers = whole_number<std::uint32_t>(one.at("workers"));
      for (const json& trial : one.at("trials")) cell.trials.push_back(trial_from_json(trial));
      cell.valid = one.at("valid").get<bool>();
      cell.reasons = one.at("reasons").get<std::vector<std::string>>();
      cell.void_trials = whole_number<std::uint32_t>(one.at("void_trials"));
      cell.is_final = one.at("is_final").get<bool>();
      for (const MetricName& metric : metric_table) {
        const json figure = find(one.at("summary"), metric);
        if (figure.is_null()) continue;
        cell.summary[metric.metric] = figure_from_json(figure);
        if (*metric.group != '\0') cell.summary.pooled[metric.metric] = optional_number(figure, "pooled");
      }
      result.cells.push_back(std::move(cell));
    }
    for (const json& one : object.at("best")) {
      result.best.push_back({one.at("server").get<std::string>(), one.at("cell").get<std::string>(),
                             one.at("contest").get<std::string>(), whole_number<std::uint32_t>(one.at("rank_from")),
                             whole_number<std::uint32_t>(one.at("rank_to")), figure_from_json(one.at("of_first"))});
    }
    for (const json& one : object.at("peaks")) {
      result.peaks.push_back({one.at("cell").get<std::string>(), whole_number<std::uint32_t>(one.at("answers")),
                              optional_number(one, "rate"), optional_number(one, "lower"),
                              optional_number(one, "upper"), one.at("within_tolerance").get<bool>(),
                              text_or_empty(one.at("measured_cell")), text_or_empty(one.at("overload_cell"))});
    }
    return result;
  } catch (const json::exception& error) {
    throw UsageError("not a result of bakeoff: " + plain_words(error));
  }
}

}  // namespace bakeoff
