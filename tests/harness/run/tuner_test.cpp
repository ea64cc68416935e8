#include "harness/run/tuner.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/data_dir.h"
#include "core/base/random.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

std::vector<Cell> matrix_of(std::size_t connections, std::size_t workers) {
  std::vector<Cell> cells;
  for (std::size_t c = 0; c < connections; ++c) {
    for (std::size_t w = 0; w < workers; ++w) {
      Cell cell;
      cell.server = "symped";
      cell.connections = 1u << c;
      cell.workers = 1u << w;
      cell.id = std::to_string(c) + "," + std::to_string(w);
      cells.push_back(cell);
    }
  }
  return cells;
}

std::pair<int, int> place(const std::string& id) { return {std::stoi(id), std::stoi(id.substr(id.find(',') + 1))}; }

// Throughput that rises to a peak at (peak_c, peak_w) and falls beyond it.
double hill(const std::string& id, double peak_c, double peak_w) {
  const auto [c, w] = place(id);
  return 1000 * std::exp(-0.03 * (c - peak_c) * (c - peak_c) - 0.05 * (w - peak_w) * (w - peak_w));
}

struct Found {
  std::string best;
  std::size_t measured;
};

// measure: a cell's trials.
using Measure = std::function<std::vector<double>(const std::string&)>;

Found tune(const std::vector<Cell>& cells, const Measure& measure, double margin = 0.1) {
  Tuner tuner(cells, margin);
  std::map<std::string, Figure> known;
  for (;;) {
    const auto wanted = tuner.next(known);
    if (wanted.empty()) break;
    for (const std::string& id : wanted) {
      REQUIRE_FALSE(known.count(id));  // nothing is measured twice
      known[id] = figure_of(measure(id), Scatter::factors);
    }
  }
  const auto best = std::max_element(known.begin(), known.end(),
                                     [](const auto& a, const auto& b) { return *a.second.median < *b.second.median; });
  return {best->first, known.size()};
}

}  // namespace

TEST_CASE("the tuner finds the peak of a full matrix with a third of its cells") {
  const auto cells = matrix_of(10, 8);
  for (int peak_c = 0; peak_c < 10; ++peak_c) {
    for (int peak_w = 0; peak_w < 8; ++peak_w) {
      CAPTURE(peak_c, peak_w);
      const Found found = tune(cells, [&](const std::string& id) { return std::vector{hill(id, peak_c, peak_w)}; });
      CHECK(found.measured <= 27);
      CHECK(hill(found.best, peak_c, peak_w) >= 950);  // the winner, within what trials can tell
    }
  }
}

TEST_CASE("noise of a few per cent does not lead the tuner far astray") {
  const auto cells = matrix_of(10, 8);
  Random random(1);
  int near = 0;
  for (int i = 0; i < 100; ++i) {
    const Found found = tune(
        cells, [&](const std::string& id) { return std::vector{hill(id, 6, 3) * (1 + 0.06 * (random.unit() - 0.5))}; });
    CHECK(found.measured <= 27);
    near += hill(found.best, 6, 3) >= 900 ? 1 : 0;
  }
  CHECK(near >= 95);
}

// tests/harness/run/measured_matrix.json: the relative throughput of each trial of a full matrix, as
// tests/tuner_proof/prove measured it once.
TEST_CASE("the tuner finds the winner of a measured matrix, within its interval, by a third of its cells") {
  std::ifstream in(data_dir() / "tests" / "harness" / "run" / "measured_matrix.json");
  const nlohmann::json measured = nlohmann::json::parse(in);
  for (const std::string server : {"symped", "thread-per-connection"}) {
    INFO(server);
    std::vector<Cell> cells;
    std::map<std::string, std::vector<double>> trials;
    for (const auto& one : measured.at(server)) {
      Cell cell;
      cell.server = server;
      cell.connections = one.at("connections");
      cell.workers = one.at("workers");
      cell.id = std::to_string(cell.connections) + "," + std::to_string(cell.workers);
      trials[cell.id] = one.at("of_ceiling").get<std::vector<double>>();
      cells.push_back(cell);
    }
    REQUIRE(cells.size() == 60);
    std::map<std::string, Figure> figures;
    for (const auto& [id, values] : trials) figures[id] = figure_of(values, Scatter::factors);
    const auto best = std::max_element(figures.begin(), figures.end(), [](const auto& a, const auto& b) {
      return *a.second.median < *b.second.median;
    });
    // Most cells must not do: else whatever is found would be right.
    const auto would_do = std::count_if(figures.begin(), figures.end(),
                                        [&](const auto& one) { return *one.second.median >= *best->second.lower; });
    CHECK(would_do <= 20);
    const auto is_winner = [&](const std::string& id) { return *figures[id].median >= *best->second.lower; };
    // The search meets trials as they were, and again as they would have been as likely: drawn from those of the cell.
    // It cannot know more than such a draw tells; whoever measures the full matrix does not either.
    Random random(2007);
    int found = 0, found_by_all = 0;
    double share_of_best = 0;
    constexpr int searches = 100;
    for (int search = 0; search < searches; ++search) {
      std::map<std::string, std::vector<double>> drawn = trials;
      if (search > 0) {
        for (auto& [id, values] : drawn) {
          for (double& one : values) one = trials[id][random.below(static_cast<std::uint32_t>(values.size()))];
        }
      }
      const Found winner = tune(cells, [&](const std::string& id) { return drawn[id]; });
      CHECK(winner.measured <= cells.size() / 3);
      if (search == 0) CHECK(is_winner(winner.best));
      found += is_winner(winner.best) ? 1 : 0;
      share_of_best += *figures[winner.best].median / *best->second.median / searches;
      // The full matrix uses the same estimate as the search.
      const auto estimate = [](const auto& one) { return *figure_of(one.second, Scatter::factors).median; };
      const auto top = std::max_element(drawn.begin(), drawn.end(),
                                        [&](const auto& a, const auto& b) { return estimate(a) < estimate(b); });
      found_by_all += is_winner(top->first) ? 1 : 0;
    }
    CAPTURE(found, found_by_all, would_do, share_of_best);
    CHECK(found >= found_by_all);
    CHECK(share_of_best >= 0.93);
  }
}

TEST_CASE("a small matrix is measured as its coarse one, a diagonal as a line") {
  const Found small = tune(matrix_of(2, 2), [](const std::string& id) { return std::vector{hill(id, 1, 1)}; });
  CHECK(small.measured == 4);
  CHECK(small.best == "1,1");
  std::vector<Cell> diagonal;
  for (std::uint32_t c = 0; c < 9; ++c) {
    Cell cell;
    cell.server = "mt";
    cell.connections = cell.workers = 1u << c;
    cell.id = std::to_string(c) + ",0";
    diagonal.push_back(cell);
  }
  const Found line = tune(diagonal, [](const std::string& id) { return std::vector{hill(id, 5, 0)}; });
  CHECK(line.measured < 9);
  CHECK(hill(line.best, 5, 0) > 850);
}

TEST_CASE("invalid cells lead nowhere, and a server without any valid one ends the search") {
  Tuner tuner(matrix_of(4, 4), 0.1);
  std::map<std::string, Figure> known;
  for (const std::string& id : tuner.next(known)) known[id] = Figure{};
  CHECK(tuner.next(known).empty());
}

TEST_CASE("an option of sizes is an axis of the matrix, any other is tuned for itself") {
  std::vector<Cell> cells;
  for (const char* poller : {"poll", "epoll"}) {
    for (const char* cache : {"4MB", "64KB", "1MB", "16MB", "256KB"}) {
      for (std::uint32_t c = 0; c < 8; ++c) {
        for (std::uint32_t w = 0; w < 6; ++w) {
          Cell cell;
          cell.server = "symped";
          cell.variant = std::string("poller=") + poller + "/cache=" + cache;
          cell.options = {{"poller", poller}, {"cache", cache}};
          cell.connections = 1u << c;
          cell.workers = 1u << w;
          cell.id = std::string(poller) + " " + cache + " " + std::to_string(c) + "," + std::to_string(w);
          cells.push_back(cell);
        }
      }
    }
  }
  // Epoll is best with 1 MB, poll with 16 MB.
  const auto measure = [](const std::string& id) {
    const bool epoll = id.starts_with("epoll");
    const std::map<std::string, double> sizes = {{"64KB", 0}, {"256KB", 1}, {"1MB", 2}, {"4MB", 3}, {"16MB", 4}};
    const std::size_t begin = id.find(' ') + 1, end = id.find(' ', begin);
    const double away = sizes.at(id.substr(begin, end - begin)) - (epoll ? 2 : 4);
    return hill(id.substr(end + 1), 5, 2) * std::exp(-0.05 * away * away);
  };
  Tuner tuner(cells, 0.02);
  std::map<std::string, Figure> known;
  for (auto wanted = tuner.next(known); !wanted.empty(); wanted = tuner.next(known)) {
    CHECK(tuner.decisions().size() <= 2);  // a line for each event mechanism, whatever the cache
    for (const std::string& id : wanted) known[id] = figure_of({measure(id)}, Scatter::factors);
  }
  CHECK(known.size() <= cells.size() / 3);
  for (const bool epoll : {false, true}) {
    double best = 0;
    for (const auto& [id, figure] : known) {
      if (id.starts_with("epoll") == epoll) best = std::max(best, *figure.median);
    }
    CHECK(best >= 950);
  }
}
