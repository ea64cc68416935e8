#include "results/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "results/peaks.h"
#include "results/placement.h"
#include "results/ranking.h"

namespace bakeoff {
namespace {

// Three digits or more: a ratio of 0.987 must not read 0.99 where 0.99 would be another server's.
std::string number(double value) {
  const double size = std::fabs(value);
  const int decimals = size < 0.9995 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string number(const std::optional<double>& value) { return value ? number(*value) : "-"; }

std::string interval(const Figure& figure) {
  if (!figure.lower || !figure.upper) return "";
  return number(*figure.lower) + " .. " + number(*figure.upper);
}

struct Column {
  std::string head;
  bool to_the_left = false;
  int matters = 0;  // where a table is too wide, those with the greatest number go first; 0 always stays
};

struct Text {
  std::string text;
  const char* colour = "";
};

// Pads by characters, not bytes, and outside of the colour codes.
std::string aligned(const std::vector<Column>& columns, const std::vector<std::vector<Text>>& rows,
                    const TableStyle& style) {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    std::size_t width = columns[c].head.size();
    for (const auto& row : rows) width = std::max(width, row[c].text.size());
    widths.push_back(width);
  }
  std::string table;
  const auto put = [&](const std::vector<Text>& row) {
    std::string line;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const std::string padding(widths[c] - row[c].text.size(), ' ');
      const bool coloured = style.colour && *row[c].colour != '\0';
      const std::string text = coloured ? row[c].colour + row[c].text + "\x1b[0m" : row[c].text;
      line += "  " + (columns[c].to_the_left ? text + padding : padding + text);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  };
  std::vector<Text> heads;
  for (const Column& column : columns) heads.push_back({column.head});
  put(heads);
  for (const auto& row : rows) put(row);
  return table;
}

constexpr const char* bold = "\x1b[1m";
constexpr const char* dim = "\x1b[2m";

std::string note_mark(std::size_t index) {
  std::string mark;
  for (++index; index > 0; index = (index - 1) / 26)
    mark.insert(mark.begin(), static_cast<char>('a' + (index - 1) % 26));
  return mark;
}

// The reasons below a table; cells with the same reasons share a letter.
class Notes {
 public:
  std::string mark(const std::vector<std::string>& reasons) {
    if (reasons.empty()) return "";
    std::string text;
    for (const std::string& reason : reasons) text += (text.empty() ? "" : "; ") + reason;
    const auto found = std::find(notes_.begin(), notes_.end(), text);
    const auto index = static_cast<std::size_t>(found - notes_.begin());
    if (found == notes_.end()) notes_.push_back(text);
    return std::string(" ").append(note_mark(index));
  }
  std::string text() const {
    std::string all;
    for (std::size_t i = 0; i < notes_.size(); ++i) all += "    " + note_mark(i) + ": " + notes_[i] + "\n";
    return all;
  }

 private:
  std::vector<std::string> notes_;
};

std::string matrix(const std::vector<const CellResult*>& cells, const nlohmann::json& environment, Metric by,
                   const std::set<std::string>& best_ids, Notes& notes, const TableStyle& style) {
  std::set<std::uint32_t> workers, connections;
  for (const CellResult* cell : cells) {
    workers.insert(cell->cell.workers);
    connections.insert(cell->cell.connections);
  }
  // A server with one worker a connection has a diagonal instead of a matrix: it is shown as one column.
  const bool one_each = connections.size() > 1 && std::all_of(cells.begin(), cells.end(), [](const CellResult* cell) {
                          return cell->cell.workers == cell->cell.connections;
                        });
  std::vector<Column> columns = {{"connections"}};
  if (one_each) {
    columns.push_back({std::string("as many workers") + worker_mark(environment, *workers.rbegin())});
  } else {
    for (const std::uint32_t count : workers)
      columns.push_back(
          {std::to_string(count) + (count == 1 ? " worker" : " workers") + worker_mark(environment, count)});
  }
  std::vector<std::vector<Text>> rows;
  for (const std::uint32_t row : connections) {
    std::vector<Text> line = {{std::to_string(row)}};
    for (std::size_t c = 1; c < columns.size(); ++c) {
      const std::uint32_t wanted = one_each ? row : *std::next(workers.begin(), static_cast<std::ptrdiff_t>(c) - 1);
      const auto found = std::find_if(cells.begin(), cells.end(), [&](const CellResult* cell) {
        return cell->cell.connections == row && cell->cell.workers == wanted;
      });
      if (found == cells.end()) {
        line.push_back({""});
        continue;
      }
      const CellResult& cell = **found;
      std::string text = number(cell.summary[by].median);
      if (!cell.valid) text = "(" + text + ")";
      const bool is_best = best_ids.contains(cell.cell.id);
      if (is_best) text += " *";
      line.push_back({text + notes.mark(cell.reasons), is_best ? bold : cell.valid ? "" : dim});
    }
    rows.push_back(std::move(line));
  }
  return aligned(columns, rows, style);
}

std::vector<std::string> servers_of(const ExperimentResult& result) {
  std::vector<std::string> servers;
  for (const CellResult& cell : result.cells) {
    if (std::find(servers.begin(), servers.end(), cell.cell.server) == servers.end())
      servers.push_back(cell.cell.server);
  }
  return servers;
}

// Leaves out columns that say nothing, then those that matter least until the table is narrow enough.
std::string fitted(std::vector<Column> columns, std::vector<std::vector<Text>> rows, const TableStyle& style) {
  const auto drop = [&](std::size_t c) {
    columns.erase(columns.begin() + static_cast<std::ptrdiff_t>(c));
    for (auto& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(c));
  };
  const auto is_empty = [&](std::size_t c) {
    return !rows.empty() && std::all_of(rows.begin(), rows.end(), [&](const auto& row) { return row[c].text.empty(); });
  };
  for (std::size_t c = columns.size(); c-- > 0;) {
    if (is_empty(c)) drop(c);
  }
  const auto width = [&] {
    std::size_t all = 0;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      std::size_t one = columns[c].head.size();
      for (const auto& row : rows) one = std::max(one, row[c].text.size());
      all += 2 + one;
    }
    return all;
  };
  while (style.width != 0 && width() > style.width) {
    const auto least = std::max_element(columns.begin(), columns.end(),
                                        [](const Column& a, const Column& b) { return a.matters < b.matters; });
    if (least->matters == 0) break;
    for (std::size_t c = columns.size(), matters = static_cast<std::size_t>(least->matters); c-- > 0;) {
      if (static_cast<std::size_t>(columns[c].matters) == matters) drop(c);
    }
  }
  return aligned(columns, rows, style);
}

// The ranking of the cells that ask for the same files at the same rate.
std::string ranking_of(const ExperimentResult& result, const std::string& contest, const TableStyle& style) {
  // A figure and its interval come and go together.
  const std::vector<Column> columns = {{"rank"},
                                       {"server", true},
                                       {"connections", false, 3},
                                       {"workers", false, 3},
                                       {"variant", true},
                                       {figure_head(result.ranked_by)},
                                       {"95 %", true},
                                       {"of first"},
                                       {"all 95 %", true},
                                       {"Mbit/s", false, 7},
                                       {"95 %", true, 7},
                                       {"replies/s", false, 4},
                                       {"p50 ms", false, 6},
                                       {"p99 ms", false, 2},
                                       {"95 %", true, 8},
                                       {"CPU us/reply", false, 1},
                                       {"95 %", true, 5},
                                       {"trials", false, 9}};
  std::vector<std::vector<Text>> rows;
  for (const Best& best : result.best) {
    if (best.contest != contest) continue;
    const auto found = std::find_if(result.cells.begin(), result.cells.end(),
                                    [&](const CellResult& cell) { return cell.cell.id == best.cell_id; });
    if (found == result.cells.end()) continue;
    const Summary& summary = found->summary;
    const std::string rank = best.rank_from == best.rank_to ? fmt::format("{}", best.rank_from)
                                                            : fmt::format("{}-{}", best.rank_from, best.rank_to);
    const Figure& figure = summary[result.ranked_by];
    // The figure that ranks has its column already: one that is empty is left out.
    const auto number_of = [&](Metric metric) {
      return metric == result.ranked_by ? "" : number(summary[metric].median);
    };
    const auto interval_of = [&](Metric metric) { return metric == result.ranked_by ? "" : interval(summary[metric]); };
    rows.push_back({{rank},
                    {best.server, bold},
                    {std::to_string(found->cell.connections)},
                    {std::to_string(found->cell.workers) + worker_mark(result.environment, found->cell.workers)},
                    {found->cell.variant},
                    {number(figure.median), bold},
                    {interval(figure)},
                    {best.of_first.median ? number(best.of_first.median) : ""},
                    {interval(best.of_first)},
                    {number_of(Metric::throughput_mbps)},
                    {interval_of(Metric::throughput_mbps)},
                    {number_of(Metric::replies_per_s)},
                    {number_of(Metric::latency_p50_ms)},
                    {number_of(Metric::latency_p99_ms)},
                    {interval_of(Metric::latency_p99_ms)},
                    {number_of(Metric::server_cpu_us_per_reply)},
                    {interval_of(Metric::server_cpu_us_per_reply)},
                    {std::to_string(figure.n)}});
  }
  std::string text = fitted(columns, rows, style);
  const std::uint32_t needed = blocks_needed(rows.size());
  const bool too_few = std::any_of(result.best.begin(), result.best.end(), [&](const Best& best) {
    return best.contest == contest && best.of_first.n > 0 && best.of_first.n < needed;
  });
  if (too_few) {
    text += fmt::format("  {} fresh trials of each cannot tell {} servers apart; {} can: [trials] final = {}\n",
                        result.best.back().of_first.n, rows.size(), needed, needed);
  }
  for (const std::string& server : servers_of(result)) {
    const bool ranked = std::any_of(result.best.begin(), result.best.end(),
                                    [&](const Best& best) { return best.server == server && best.contest == contest; });
    if (ranked) continue;
    // What spoiled the cell that was measured again tells more than what spoiled the others.
    const CellResult* why = nullptr;
    for (const CellResult& cell : result.cells) {
      if (cell.cell.server != server || contest_of(cell.cell) != contest || cell.reasons.empty()) continue;
      if (why == nullptr || (cell.is_final && !why->is_final)) why = &cell;
    }
    if (why == nullptr) continue;  // not in this contest at all
    text += fmt::format("  not ranked: {}, {} ({})\n", server,
                        why->is_final ? "its best cell was not valid when measured again" : "no valid cell",
                        why->reasons.front());
  }
  return text;
}

// What a reader must know before the tables.
std::string warnings(const ExperimentResult& result) {
  std::size_t trials = 0, without_cpu = 0, cells = 0, unsettled = 0, attempts = 0, voided = 0;
  std::map<std::string, std::size_t> causes;
  for (const CellResult& cell : result.cells) {
    cells += cell.trials.empty() ? 0 : 1;
    unsettled += std::any_of(cell.reasons.begin(), cell.reasons.end(),
                             [](const std::string& reason) { return reason.starts_with("not settled"); });
    for (const Trial& trial : cell.trials) {
      ++attempts;
      voided += trial.void_causes.empty() ? 0 : 1;
      for (const std::string& cause : trial.void_causes) ++causes[cause];
      const auto& replies = trial.figures[Metric::replies_per_s];
      if (!trial.counted || !replies || *replies <= 0) continue;
      ++trials;
      without_cpu += trial.figures[Metric::server_cpu_us_per_reply] ? 0 : 1;
    }
  }
  std::string text;
  if (voided * 2 > attempts) {
    const auto most = std::max_element(causes.begin(), causes.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    text += fmt::format(
        "WARNING: {} of {} attempts at trials were void, mostly: {}. Stop what else runs on this machine; bakeoff "
        "doctor "
        "says what it finds.\n",
        voided, attempts, most->first);
  }
  if (without_cpu > 0) {
    text += fmt::format(
        "WARNING: {} of {} trials have no CPU figures: others took the harness's processor. Use longer trials "
        "(duration in [load]) or a quieter machine.\n",
        without_cpu, trials);
  }
  if (unsettled * 2 > cells) {
    text += fmt::format(
        "WARNING: {} of {} cells had not settled within the measured time: give a longer warm-up "
        "(longest_warmup in [load]), or longer trials.\n",
        unsettled, cells);
  }
  return text;
}

}  // namespace

std::string plain_table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows,
                        std::size_t to_the_left, const TableStyle& style) {
  std::vector<Column> columns;
  for (std::size_t c = 0; c < heads.size(); ++c) columns.push_back({heads[c], c < to_the_left});
  std::vector<std::vector<Text>> texts(rows.size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (const std::string& text : rows[r]) texts[r].push_back({text});
  }
  return aligned(columns, texts, style);
}

const char* const estimator_sentence =
    "Figures are Hodges-Lehmann estimates over trials; \"95 %\" is the interval by Wilcoxon's signed-rank test.";

std::string turns_sentence(const ExperimentResult& result) {
  if (result.turn_s == 0) return "";
  return fmt::format("The servers of a block stood side by side and took turns of {:g} ms.", result.turn_s * 1e3);
}

std::string figure_head(Metric metric) {
  switch (metric) {
    case Metric::throughput_mbps: return "Mbit/s";
    case Metric::replies_per_s: return "replies/s";
    case Metric::relative_to_ceiling: return "of ceiling";
    case Metric::server_cpu_us_per_reply: return "CPU us/reply";
    case Metric::cpu_relative_to_ceiling: return "CPU of ceiling's";
    case Metric::memory_bytes: return "bytes";
    default: break;
  }
  const MetricName& name = name_of(metric);
  return *name.group == '\0' ? name.name : std::string(name.name) + " ms";
}

std::string figure_words(Metric metric) {
  switch (metric) {
    case Metric::throughput_mbps: return "throughput in Mbit/s";
    case Metric::relative_to_ceiling: return "replies/s as a share of the ceiling program's";
    case Metric::server_cpu_us_per_reply: return "server CPU time per reply in us";
    case Metric::cpu_relative_to_ceiling: return "server CPU time per reply over the ceiling program's";
    default: return path_of(name_of(metric));
  }
}

std::string matrices(const ExperimentResult& result, const TableStyle& style) {
  std::string text = figure_words(result.ranked_by);
  text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  text += ". *: the server's best cell. (...): not valid, the reason is below.\n";
  for (const std::string& server : servers_of(result)) {
    std::vector<std::string> variants;
    std::map<std::string, std::vector<const CellResult*>> by_variant;
    for (const CellResult& cell : result.cells) {
      if (cell.cell.server != server) continue;
      if (by_variant[cell.cell.variant].empty()) variants.push_back(cell.cell.variant);
      by_variant[cell.cell.variant].push_back(&cell);
    }
    std::set<std::string> best_ids;
    for (const std::string& contest : contests(result.cells)) {
      if (const CellResult* best = best_cell(result.cells, server, result.ranked_by, contest))
        best_ids.insert(best->cell.id);
    }
    Notes notes;
    for (const std::string& variant : variants) {
      text += "\n" + server + (variant.empty() ? "" : " with " + variant) + "\n";
      text += matrix(by_variant[variant], result.environment, result.ranked_by, best_ids, notes, style);
    }
    text += notes.text();
  }
  return text;
}

std::string ranking(const ExperimentResult& result, const TableStyle& style) {
  const bool confirmed =
      std::any_of(result.cells.begin(), result.cells.end(), [](const CellResult& cell) { return cell.is_final; });
  std::string text = fmt::format(
      "Each server's best cell{1}, ranked by {0}.\n", figure_words(result.ranked_by),
      confirmed ? ", measured again with fresh trials" : " in the sweep, the best of which is a little too high");
  if (result.ranked_by == Metric::server_cpu_us_per_reply &&
      std::any_of(result.cells.begin(), result.cells.end(),
                  [](const CellResult& cell) { return cell.cell.rate.has_value(); }))
    text += "At a fixed rate all servers that keep up have the same throughput; rank_by chooses another figure.\n";
  text += estimator_sentence;
  if (result.turn_s > 0) text += "\n" + turns_sentence(result);
  text +=
      "\n\"Of first\" compares by pairs of trials within blocks; its intervals hold together (\"all 95 %\"), and ranks "
      "follow\nfrom the pairs of servers that differ significantly (Holm's correction).\n\n";
  const std::vector<std::string> all_contests = contests(result.cells);
  for (const std::string& contest : all_contests) {
    if (!contest.empty()) text += (contest == all_contests.front() ? "" : "\n") + contest + "\n";
    text += ranking_of(result, contest, style);
  }
  for (const Metric metric : result.also_ranked_by) {
    ExperimentResult again = result;
    again.ranked_by = metric;
    again.best = rank(again.cells, metric);
    text += "\nThe same trials, ranked by " + figure_words(metric) + ".\n\n";
    for (const std::string& contest : all_contests) {
      if (!contest.empty()) text += (contest == all_contests.front() ? "" : "\n") + contest + "\n";
      text += ranking_of(again, contest, style);
    }
  }
  std::string lines;
  for (const WarmUp& one : result.warm_ups) {
    const std::string where = one.contest.empty() ? "" : one.contest + ": ";
    lines += fmt::format("  {}warm-up {:.0f} ms for all servers{}\n", where, one.seconds * 1e3,
                         one.slowest.empty() ? "" : ", set by the slowest to settle, " + one.slowest);
    for (const std::string& server : one.unsettled)
      lines += fmt::format("  {}{} did not settle within the longest warm-up; its figures stand\n", where, server);
  }
  return text + (lines.empty() ? "" : "\n" + lines);
}

std::string waits(const ExperimentResult& result, const TableStyle& style) {
  const std::vector<Column> columns = {{"cell", true},       {"Mbit/s"},     {"replies/s"}, {"CPU idle"}, {"iowait"},
                                       {"waiting for disk"}, {"cache hits"}, {"p50 ms"},    {"p99 ms"}};
  std::vector<std::vector<Text>> rows;
  for (const CellResult& cell : result.cells) {
    const Summary& summary = cell.summary;
    if (!summary[Metric::disk_waiting_tasks].median && !summary[Metric::cache_hit_share].median) continue;
    std::vector<Text> row = {{cell.cell.id}};
    for (const Metric metric :
         {Metric::throughput_mbps, Metric::replies_per_s, Metric::cpu_idle_share, Metric::cpu_iowait_share,
          Metric::disk_waiting_tasks, Metric::cache_hit_share, Metric::latency_p50_ms, Metric::latency_p99_ms}) {
      row.push_back({number(summary[metric].median), cell.valid ? "" : dim});
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return "";
  return "Where the time went. CPU idle, iowait: shares of the server's processors. Waiting for disk: tasks of the "
         "server at once, in the mean.\n\n" +
         aligned(columns, rows, style);
}

std::string tables(const ExperimentResult& result, const TableStyle& style) {
  const std::string of_waits = waits(result, style);
  const std::string notes = worker_mark_note(result) + placement_note(result.environment);
  // Of a search for peaks each rate is a cell: matrices of them would say nothing that the peaks do not.
  std::string warned = warnings(result);
  if (!warned.empty()) warned += "\n";
  if (!result.peaks.empty()) return warned + peak_table(result, style) + (notes.empty() ? "" : "\n" + notes);
  return warned + matrices(result, style) + "\n" + ranking(result, style) + (of_waits.empty() ? "" : "\n" + of_waits) +
         (notes.empty() ? "" : "\n" + notes);
}

bool is_micro(const ExperimentResult& result) {
  return !result.cells.empty() && result.cells.front().cell.workload.starts_with(micro_workload);
}

std::string scaling(const ExperimentResult& result, const TableStyle& style) {
  std::string text = std::string(estimator_sentence) + "\n\n";
  const std::vector<Column> columns = {{"system", true}, {"tasks"},          {"tasks/s"},     {"interval", true},
                                       {"mean ms"},      {"interval", true}, {"p50 ms"},      {"p99 ms"},
                                       {"max ms"},       {"switches/s"},     {"CPU us/task"}, {"trials"}};
  std::vector<std::vector<Text>> rows;
  Notes notes;
  for (const CellResult& cell : result.cells) {
    const Summary& summary = cell.summary;
    const char* const colour = cell.valid ? "" : dim;
    rows.push_back({{cell.cell.server, colour},
                    {std::to_string(cell.cell.connections) + notes.mark(cell.reasons), colour},
                    {number(summary[Metric::replies_per_s].median), bold},
                    {interval(summary[Metric::replies_per_s])},
                    {number(summary[Metric::latency_mean_ms].median), bold},
                    {interval(summary[Metric::latency_mean_ms])},
                    {number(summary[Metric::latency_p50_ms].median)},
                    {number(summary[Metric::latency_p99_ms].median)},
                    {number(summary[Metric::latency_max_ms].median)},
                    {number(summary[Metric::context_switches_per_s].median)},
                    {number(summary[Metric::server_cpu_us_per_reply].median)},
                    {std::to_string(summary[Metric::latency_mean_ms].n)}});
  }
  return text + aligned(columns, rows, style) + notes.text();
}

}  // namespace bakeoff
