#include "results/tables.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

namespace bakeoff {
namespace {

std::string number(double value) {
  char text[48];
  std::snprintf(text, sizeof text, value > -9.995 && value < 9.995 ? "%.2f" : "%.0f", value);
  return text;
}

std::string number(const std::optional<double>& value) { return value ? number(*value) : "-"; }

std::string interval(const Figure& figure) {
  if (!figure.lower || !figure.upper) return "";
  return number(*figure.lower) + " .. " + number(*figure.upper);
}

struct Column {
  std::string head;
  bool to_the_left = false;
};

struct Text {
  std::string text;
  const char* colour = "";
};

// Pads by characters, not bytes, and outside of the colour codes.
std::string aligned(const std::vector<Column>& columns, const std::vector<std::vector<Text>>& rows, const TableStyle& style) {
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
  for (++index; index > 0; index = (index - 1) / 26) mark.insert(mark.begin(), static_cast<char>('a' + (index - 1) % 26));
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

std::string matrix(const std::vector<const CellResult*>& cells, const std::set<std::string>& best_ids, Notes& notes, const TableStyle& style) {
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
    columns.push_back({"as many workers"});
  } else {
    for (const std::uint32_t count : workers) columns.push_back({std::to_string(count) + (count == 1 ? " worker" : " workers")});
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
      std::string text = number(cell.summary[Metric::throughput_mbps].median);
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
    if (std::find(servers.begin(), servers.end(), cell.cell.server) == servers.end()) servers.push_back(cell.cell.server);
  }
  return servers;
}

// The ranking of the cells that ask for the same files.
std::string ranking_of(const ExperimentResult& result, const std::string& contest, const std::vector<Column>& columns, const TableStyle& style) {
  std::vector<std::vector<Text>> rows;
  for (const Best& best : result.best) {
    if (best.contest != contest) continue;
    const auto found = std::find_if(result.cells.begin(), result.cells.end(), [&](const CellResult& cell) { return cell.cell.id == best.cell_id; });
    if (found == result.cells.end()) continue;
    const Summary& summary = found->summary;
    const std::string rank = best.rank_from == best.rank_to ? std::to_string(best.rank_from)
                                                            : std::to_string(best.rank_from) + "-" + std::to_string(best.rank_to);
    const Figure& mbps = summary[Metric::throughput_mbps];
    rows.push_back({{rank},
                    {best.server, bold},
                    {std::to_string(found->cell.connections)},
                    {std::to_string(found->cell.workers)},
                    {found->cell.variant},
                    {number(mbps.median), bold},
                    {interval(mbps)},
                    {number(summary[Metric::replies_per_s].median)},
                    {number(summary[Metric::relative_to_ceiling].median)},
                    {interval(summary[Metric::relative_to_ceiling])},
                    {number(summary[Metric::latency_p50_ms].median)},
                    {number(summary[Metric::latency_p99_ms].median)},
                    {number(summary[Metric::server_cpu_us_per_reply].median)},
                    {number(summary[Metric::cpu_relative_to_ceiling].median)},
                    {std::to_string(mbps.n)}});
  }
  // A column that says nothing is left out.
  std::vector<Column> shown;
  std::vector<std::vector<Text>> shown_rows(rows.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (!rows.empty() && std::all_of(rows.begin(), rows.end(), [&](const auto& row) { return row[c].text.empty(); })) continue;
    shown.push_back(columns[c]);
    for (std::size_t r = 0; r < rows.size(); ++r) shown_rows[r].push_back(rows[r][c]);
  }
  std::string text = aligned(shown, shown_rows, style);
  for (const std::string& server : servers_of(result)) {
    const bool ranked = std::any_of(result.best.begin(), result.best.end(), [&](const Best& best) { return best.server == server && best.contest == contest; });
    if (ranked) continue;
    std::string why = "not measured";
    for (const CellResult& cell : result.cells) {
      if (cell.cell.server == server && contest_of(cell.cell) == contest && !cell.reasons.empty()) why = cell.reasons.front();
    }
    text += "  not ranked: " + server + ", no valid cell (" + why + ")\n";
  }
  return text;
}

}  // namespace

std::string plain_table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows, std::size_t to_the_left,
                        const TableStyle& style) {
  std::vector<Column> columns;
  for (std::size_t c = 0; c < heads.size(); ++c) columns.push_back({heads[c], c < to_the_left});
  std::vector<std::vector<Text>> texts(rows.size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (const std::string& text : rows[r]) texts[r].push_back({text});
  }
  return aligned(columns, texts, style);
}

std::string matrices(const ExperimentResult& result, const TableStyle& style) {
  std::string text = "Throughput in Mbit/s. *: the server's best cell. (...): does not count, the reason is below.\n";
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
      if (const CellResult* best = best_cell(result.cells, server, contest)) best_ids.insert(best->cell.id);
    }
    Notes notes;
    for (const std::string& variant : variants) {
      text += "\n" + server + (variant.empty() ? "" : " with " + variant) + "\n";
      text += matrix(by_variant[variant], best_ids, notes, style);
    }
    text += notes.text();
  }
  return text;
}

std::string ranking(const ExperimentResult& result, const TableStyle& style) {
  const auto confirmed = std::any_of(result.cells.begin(), result.cells.end(), [](const CellResult& cell) { return cell.is_final; });
  std::string text = "Ranking by each server's best cell";
  text += confirmed ? ", measured again with fresh trials" : "";
  text += "; intervals hold the median with 95 % confidence.\n\n";
  const std::vector<Column> columns = {{"rank"},    {"server", true},   {"connections"}, {"workers"},       {"variant", true}, {"Mbit/s"}, {"interval", true},
                                       {"replies/s"}, {"of ceiling"}, {"interval", true}, {"p50 ms"}, {"p99 ms"}, {"CPU us/reply"}, {"of ceiling's"}, {"trials"}};
  const std::vector<std::string> all_contests = contests(result.cells);
  for (const std::string& contest : all_contests) {
    if (!contest.empty()) text += (contest == all_contests.front() ? "" : "\n") + contest + "\n";
    text += ranking_of(result, contest, columns, style);
  }
  return text;
}

std::string waits(const ExperimentResult& result, const TableStyle& style) {
  const std::vector<Column> columns = {{"cell", true}, {"Mbit/s"}, {"replies/s"}, {"CPU idle"}, {"iowait"}, {"waiting for disk"}, {"cache hits"}, {"p50 ms"}, {"p99 ms"}};
  std::vector<std::vector<Text>> rows;
  for (const CellResult& cell : result.cells) {
    const Summary& summary = cell.summary;
    if (!summary[Metric::disk_waiting_tasks].median && !summary[Metric::cache_hit_share].median) continue;
    std::vector<Text> row = {{cell.cell.id}};
    for (const Metric metric : {Metric::throughput_mbps, Metric::replies_per_s, Metric::cpu_idle_share, Metric::cpu_iowait_share, Metric::disk_waiting_tasks,
                                Metric::cache_hit_share, Metric::latency_p50_ms, Metric::latency_p99_ms}) {
      row.push_back({number(summary[metric].median), cell.valid ? "" : dim});
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return "";
  return "Where the time went. CPU idle, iowait: shares of the server's processors. Waiting for disk: tasks of the server at once, in the mean.\n\n" +
         aligned(columns, rows, style);
}

std::string tables(const ExperimentResult& result, const TableStyle& style) {
  const std::string of_waits = waits(result, style);
  return matrices(result, style) + "\n" + ranking(result, style) + (of_waits.empty() ? "" : "\n" + of_waits);
}

bool is_micro(const ExperimentResult& result) {
  return !result.cells.empty() && result.cells.front().cell.workload.starts_with(micro_workload);
}

std::string scaling(const ExperimentResult& result, const TableStyle& style) {
  std::string text = "Intervals hold the median with 95 % confidence.\n\n";
  const std::vector<Column> columns = {{"system", true}, {"tasks"}, {"tasks/s"}, {"interval", true}, {"mean ms"}, {"interval", true}, {"p50 ms"}, {"p99 ms"},
                                       {"max ms"}, {"switches/s"}, {"CPU us/task"}, {"trials"}};
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
