// The static part of SPECweb99, as Pariag et al. used it (EuroSys 2007, section 2): directories of 36 files each, four
// classes of nine sizes; directories by Zipf, classes by fixed shares, files within a class by a ranked Zipf.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "workloads/kinds.h"

namespace bakeoff {

namespace {

constexpr std::uint32_t class_count = 4;
constexpr std::uint32_t files_per_class = 9;
constexpr std::array<double, class_count> size_step_bytes = {102.4, 1024, 10240, 102400};
constexpr std::array<double, class_count> class_share = {0.35, 0.50, 0.14, 0.01};
// The files of a class from the one asked for most to the one asked for least; the i-th has weight 1/i.
constexpr std::array<std::uint32_t, files_per_class> files_by_rank = {4, 3, 5, 2, 6, 1, 7, 8, 0};

std::uint64_t size_bytes(std::uint32_t class_number, std::uint32_t file) {
  return static_cast<std::uint64_t>(std::llround(size_step_bytes[class_number] * (file + 1)));
}

// The benchmark's own rule for a load of L connections.
std::uint32_t directories_for_load(std::int64_t load) {
  return static_cast<std::uint32_t>(25 + (400000.0 / 122000.0 * static_cast<double>(load)) / 5);
}

}  // namespace

void build_specweb99(const TomlTable& table, Workload& workload) {
  const auto asked = static_cast<std::uint32_t>(table.integer("directories", {1, 100'000}, 20));
  const std::uint32_t directories =
      table.has("load_connections") ? directories_for_load(table.integer("load_connections", {1, 100'000})) : asked;

  std::array<double, files_per_class> file_share{};
  double harmonic = 0;
  for (std::uint32_t rank = 1; rank <= files_per_class; ++rank) harmonic += 1.0 / rank;
  for (std::uint32_t rank = 1; rank <= files_per_class; ++rank)
    file_share[files_by_rank[rank - 1]] = 1.0 / rank / harmonic;

  for (std::uint32_t c = 0; c < class_count; ++c) {
    for (std::uint32_t f = 0; f < files_per_class; ++f) {
      workload.classes.push_back(
          {"class" + std::to_string(c) + "_" + std::to_string(f), size_bytes(c, f), class_share[c] * file_share[f]});
    }
  }

  std::vector<double> weights;
  weights.reserve(directories * workload.classes.size());
  for (std::uint32_t d = 0; d < directories; ++d) {
    const std::string name = fmt::format("/dir{:05}/", d);
    for (std::uint32_t k = 0; k < workload.classes.size(); ++k) {
      const FileClass& kind = workload.classes[k];
      workload.files.add(name + kind.name, kind.size_bytes, k);
      weights.push_back(kind.share / (d + 1));
    }
  }
  workload.popularity = Popularity::weighted(weights);
}

}  // namespace bakeoff
