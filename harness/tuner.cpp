#include "harness/tuner.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace bakeoff {
namespace {

// Every stride-th, and the last: what lies at the edges must not be missed.
std::vector<std::size_t> coarse_indices(std::size_t count, std::size_t stride) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < count; i += stride) indices.push_back(i);
  if (indices.back() != count - 1) indices.push_back(count - 1);
  return indices;
}

}  // namespace

Tuner::Tuner(const std::vector<Cell>& cells, double margin, double share) : margin_(margin), share_(share) {
  std::map<std::string, std::vector<const Cell*>> groups;
  std::vector<std::string> order;
  for (const Cell& cell : cells) {
    const std::string name = cell.server + (cell.variant.empty() ? "" : "/" + cell.variant);
    if (groups[name].empty()) order.push_back(name);
    groups[name].push_back(&cell);
  }
  for (const std::string& name : order) {
    Matrix matrix;
    matrix.name = name;
    std::set<std::uint32_t> connections, workers;
    bool diagonal = true;
    for (const Cell* cell : groups[name]) {
      connections.insert(cell->connections);
      workers.insert(cell->workers);
      diagonal = diagonal && cell->workers == cell->connections;
    }
    if (diagonal) workers = {0};  // one worker a connection: a line, not a matrix
    matrix.connections.assign(connections.begin(), connections.end());
    matrix.workers.assign(workers.begin(), workers.end());
    const auto index_of = [](const std::vector<std::uint32_t>& values, std::uint32_t value) {
      return static_cast<std::size_t>(std::lower_bound(values.begin(), values.end(), value) - values.begin());
    };
    for (const Cell* cell : groups[name]) {
      matrix.cells[{index_of(matrix.connections, cell->connections), diagonal ? 0 : index_of(matrix.workers, cell->workers)}] = cell->id;
    }
    const std::size_t longest = std::max(matrix.connections.size(), matrix.workers.size());
    // Three or so to a side.
    while (matrix.stride * 2 < longest) matrix.stride *= 2;
    matrices_.push_back(std::move(matrix));
  }
}

std::vector<std::string> Tuner::next(const std::map<std::string, Figure>& known) {
  std::vector<std::string> wanted;
  decisions_.clear();
  for (Matrix& matrix : matrices_) {
    const std::vector<std::string> some = next_of(matrix, known);
    wanted.insert(wanted.end(), some.begin(), some.end());
  }
  return wanted;
}

std::vector<std::string> Tuner::next_of(Matrix& matrix, const std::map<std::string, Figure>& known) {
  std::vector<std::string> wanted;
  const auto want = [&](std::size_t c, std::size_t w) {
    const auto cell = matrix.cells.find({c, w});
    if (cell != matrix.cells.end() && !known.count(cell->second) && std::find(wanted.begin(), wanted.end(), cell->second) == wanted.end()) {
      wanted.push_back(cell->second);
    }
  };
  std::size_t measured = 0;
  for (const auto& [place, id] : matrix.cells) measured += known.count(id);
  const auto budget = static_cast<std::size_t>(std::ceil(share_ * static_cast<double>(matrix.cells.size())));

  if (matrix.coarse) {
    matrix.coarse = false;
    for (const std::size_t c : coarse_indices(matrix.connections.size(), matrix.stride)) {
      for (const std::size_t w : coarse_indices(matrix.workers.size(), matrix.stride)) want(c, w);
    }
    if (!wanted.empty()) {
      decisions_.push_back(matrix.name + ": coarse, " + std::to_string(wanted.size()) + " of " + std::to_string(matrix.cells.size()) + " cells");
      return wanted;
    }
  }

  // The best, and those that cannot be told from it, best first.
  struct Place {
    std::size_t c, w;
    std::string id;
    Figure figure;
  };
  std::vector<Place> leaders;
  for (const auto& [place, id] : matrix.cells) {
    const auto found = known.find(id);
    if (found != known.end() && found->second.median) leaders.push_back({place.first, place.second, id, found->second});
  }
  if (leaders.empty()) return {};
  std::sort(leaders.begin(), leaders.end(), [](const Place& a, const Place& b) { return *a.figure.median > *b.figure.median; });
  const Place best = leaders.front();
  std::erase_if(leaders, [&](const Place& place) {
    if (place.figure.lower && best.figure.lower) return !cannot_tell_apart(place.figure, best.figure);
    return *place.figure.median < *best.figure.median * (1 - margin_);
  });

  for (;; matrix.stride /= 2) {
    const std::size_t step = std::max<std::size_t>(1, matrix.stride / 2);
    for (const Place& place : leaders) {
      if (place.c >= step) want(place.c - step, place.w);
      if (place.w >= step) want(place.c, place.w - step);
      want(place.c + step, place.w);
      want(place.c, place.w + step);
      // The leaders come best first: when the trials run out, it is the others' surroundings that stay in the dark.
      if (measured + wanted.size() >= budget) break;
    }
    if (!wanted.empty() || matrix.stride <= 1) break;
  }
  if (measured >= budget) wanted.clear();
  if (measured + wanted.size() > budget && !wanted.empty()) wanted.resize(budget - measured);
  if (wanted.empty()) {
    decisions_.push_back(matrix.name + ": settled on " + best.id + " after " + std::to_string(measured) + " of " + std::to_string(matrix.cells.size()) + " cells");
  } else {
    decisions_.push_back(matrix.name + ": " + std::to_string(wanted.size()) + " more around " + best.id +
                         (leaders.size() > 1 ? " and " + std::to_string(leaders.size() - 1) + " that cannot be told from it" : ""));
  }
  return wanted;
}

}  // namespace bakeoff
