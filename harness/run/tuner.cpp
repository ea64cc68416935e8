#include "harness/run/tuner.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>

namespace bakeoff {
namespace {

// Every stride-th, and the last: what lies at the edges must not be missed.
std::vector<std::size_t> coarse_indices(std::size_t count, std::size_t stride) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < count; i += stride) indices.push_back(i);
  if (indices.back() != count - 1) indices.push_back(count - 1);
  return indices;
}

// Every combination of the coarse indices of all axes.
std::vector<std::vector<std::size_t>> coarse_places(const std::vector<std::vector<double>>& axes, std::size_t stride) {
  std::vector<std::vector<std::size_t>> places = {{}};
  for (const auto& values : axes) {
    std::vector<std::vector<std::size_t>> longer;
    for (const auto& place : places) {
      for (const std::size_t index : coarse_indices(values.size(), stride)) {
        longer.push_back(place);
        longer.back().push_back(index);
      }
    }
    places = std::move(longer);
  }
  return places;
}

// "poller=select/cache=64MB" as its parts.
std::vector<std::pair<std::string, std::string>> parts_of(const std::string& variant) {
  std::vector<std::pair<std::string, std::string>> parts;
  std::istringstream in(variant);
  for (std::string part; std::getline(in, part, '/');) {
    const std::size_t equals = part.find('=');
    parts.emplace_back(part.substr(0, equals), equals == std::string::npos ? "" : part.substr(equals + 1));
  }
  return parts;
}

// "64", "16K", "1.5 GB" as a number; empty for any other word.
std::optional<double> size_of(const std::string& text) {
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  static const std::map<std::string, double> units = {{"", 1},     {"k", 1e3},         {"kb", 1e3},      {"kib", 1024},
                                                      {"m", 1e6},  {"mb", 1e6},        {"mib", 1048576}, {"g", 1e9},
                                                      {"gb", 1e9}, {"gib", 1073741824}};
  std::string unit;
  for (const char* at = rest; at != text.data() + text.size(); ++at) {
    if (*at != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*at)));
  }
  const auto found = units.find(unit);
  return found == units.end() ? std::nullopt : std::optional(number * found->second);
}

}  // namespace

Tuner::Tuner(const std::vector<Cell>& cells, double margin, double share) : margin_(margin), share_(share) {
  // By server: the parts of a variant that are sizes in all of its cells.
  std::map<std::string, std::map<std::string, bool>> is_axis;
  for (const Cell& cell : cells) {
    for (const auto& [key, value] : parts_of(cell.variant)) {
      const bool fits = cell.options.count(key) != 0 && size_of(value).has_value();
      is_axis[cell.server].try_emplace(key, true).first->second &= fits;
    }
  }
  struct Group {
    std::string name;
    std::vector<std::pair<std::vector<double>, const Cell*>> cells;
  };
  std::vector<Group> groups;
  for (const Cell& cell : cells) {
    std::string name = cell.server;
    std::vector<double> values = {static_cast<double>(cell.connections), static_cast<double>(cell.workers)};
    for (const auto& [key, value] : parts_of(cell.variant)) {
      if (is_axis[cell.server][key]) {
        values.push_back(*size_of(value));
      } else {
        name += "/" + key + (value.empty() ? "" : "=" + value);
      }
    }
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& one) { return one.name == name; });
    if (group == groups.end()) group = groups.insert(groups.end(), {name, {}});
    group->cells.emplace_back(std::move(values), &cell);
  }

  for (Group& group : groups) {
    // One worker a connection: a line, not a matrix.
    const bool diagonal = std::all_of(group.cells.begin(), group.cells.end(), [](const auto& cell) {
      return cell.second->workers == cell.second->connections;
    });
    Matrix matrix;
    matrix.name = group.name;
    std::size_t longest = 1;
    for (std::size_t axis = 0; axis < group.cells.front().first.size(); ++axis) {
      std::set<double> values;
      for (auto& [place, cell] : group.cells) {
        if (diagonal && axis == 1) place[axis] = 0;
        values.insert(place[axis]);
      }
      matrix.axes.emplace_back(values.begin(), values.end());
      longest = std::max(longest, values.size());
    }
    for (const auto& [values, cell] : group.cells) {
      Place place;
      for (std::size_t axis = 0; axis < values.size(); ++axis) {
        const auto& all = matrix.axes[axis];
        place.push_back(static_cast<std::size_t>(std::lower_bound(all.begin(), all.end(), values[axis]) - all.begin()));
      }
      matrix.cells[place] = cell->id;
    }
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
  const auto want = [&](const Place& place) {
    const auto cell = matrix.cells.find(place);
    if (cell != matrix.cells.end() && !known.count(cell->second) &&
        std::find(wanted.begin(), wanted.end(), cell->second) == wanted.end()) {
      wanted.push_back(cell->second);
    }
  };
  std::size_t measured = 0;
  for (const auto& [place, id] : matrix.cells) measured += known.count(id);
  const auto budget = static_cast<std::size_t>(std::ceil(share_ * static_cast<double>(matrix.cells.size())));

  if (matrix.coarse) {
    matrix.coarse = false;
    for (const Place& place : coarse_places(matrix.axes, matrix.stride)) want(place);
    if (!wanted.empty()) {
      decisions_.push_back(matrix.name + ": coarse, " + std::to_string(wanted.size()) + " of " +
                           std::to_string(matrix.cells.size()) + " cells");
      return wanted;
    }
  }

  // The best, and those that cannot be told from it, best first.
  struct Leader {
    Place place;
    std::string id;
    Figure figure;
  };
  std::vector<Leader> leaders;
  for (const auto& [place, id] : matrix.cells) {
    const auto found = known.find(id);
    if (found != known.end() && found->second.median) leaders.push_back({place, id, found->second});
  }
  if (leaders.empty()) return {};
  std::sort(leaders.begin(), leaders.end(),
            [](const Leader& a, const Leader& b) { return *a.figure.median > *b.figure.median; });
  const Leader best = leaders.front();
  std::erase_if(leaders, [&](const Leader& one) {
    if (one.figure.upper && best.figure.lower) return *one.figure.upper < *best.figure.lower;
    return *one.figure.median < *best.figure.median * (1 - margin_);
  });

  for (;; matrix.stride /= 2) {
    const std::size_t step = std::max<std::size_t>(1, matrix.stride / 2);
    for (const Leader& leader : leaders) {
      for (std::size_t axis = 0; axis < leader.place.size(); ++axis) {
        Place near = leader.place;
        if (leader.place[axis] >= step) {
          near[axis] = leader.place[axis] - step;
          want(near);
        }
        near[axis] = leader.place[axis] + step;
        want(near);
      }
      // The leaders come best first: when the trials run out, it is the others' surroundings that stay in the dark.
      if (measured + wanted.size() >= budget) break;
    }
    if (!wanted.empty() || matrix.stride <= 1) break;
  }
  if (measured >= budget) wanted.clear();
  if (measured + wanted.size() > budget && !wanted.empty()) wanted.resize(budget - measured);
  if (wanted.empty()) {
    decisions_.push_back(matrix.name + ": settled on " + best.id + " after " + std::to_string(measured) + " of " +
                         std::to_string(matrix.cells.size()) + " cells");
  } else {
    decisions_.push_back(
        matrix.name + ": " + std::to_string(wanted.size()) + " more around " + best.id +
        (leaders.size() > 1 ? " and " + std::to_string(leaders.size() - 1) + " indistinguishable from it" : ""));
  }
  return wanted;
}

}  // namespace bakeoff
