// Files made from distributions: sizes drawn from a body and, if wanted, a tail; popularity by Zipf's law; the size of
// the set and the mean transfer brought to what was published about the site that it stands for.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/errors.h"
#include "workloads/kinds.h"

namespace bakeoff {

namespace {

constexpr std::uint64_t smallest_class_bytes = 1024;
constexpr std::uint32_t class_limit = 7;  // up to 1 KiB, 4 KiB, ... 1 MiB, 4 MiB and more

std::uint32_t class_of(std::uint64_t size_bytes) {
  std::uint32_t number = 0;
  for (std::uint64_t most = smallest_class_bytes; size_bytes > most && number + 1 < class_limit; most *= 4) ++number;
  return number;
}

std::string class_name(std::uint32_t number) {
  if (number + 1 == class_limit) return "over 1 MiB";
  const std::uint64_t kib = smallest_class_bytes << (2 * number) >> 10;
  return "up to " + (kib < 1024 ? std::to_string(kib) + " KiB" : std::to_string(kib / 1024) + " MiB");
}

struct Sizes {
  Distribution body;
  std::optional<Distribution> tail;
  double tail_share = 0;
  double least_bytes = 1;
  double most_bytes = 0;

  double draw(Random& random) const {
    const Distribution& from = tail && random.unit() < tail_share ? *tail : body;
    return std::clamp(from.draw(random), least_bytes, most_bytes);
  }
};

Sizes read_sizes(const TomlTable& table) {
  Sizes sizes{read_distribution(table, "sizes"), std::nullopt};
  sizes.least_bytes = static_cast<double>(table.bytes("least_bytes", {1, std::int64_t{1} << 40}, 1));
  sizes.most_bytes = static_cast<double>(table.bytes("most_bytes", {1, std::int64_t{1} << 40}, std::int64_t{1} << 30));
  if (sizes.most_bytes < sizes.least_bytes) table.fail("most_bytes", "expected no less than `least_bytes`");
  if (table.has("tail")) {
    sizes.tail = read_distribution(table, "tail");
    sizes.tail_share = table.number("tail_share", {0, 1});
  }
  return sizes;
}

std::vector<std::uint64_t> draw_sizes(const TomlTable& table, Random& random) {
  const Sizes sizes = read_sizes(table);
  const bool counted = table.has("files");
  const auto count = static_cast<std::size_t>(table.integer("files", {1, 10'000'000}, 10'000'000));
  const auto total = static_cast<double>(table.bytes("total_bytes", {1, std::int64_t{1} << 50}, 0));
  if (!counted && total == 0) table.fail("files", "expected it, or `total_bytes`, or both");

  std::vector<double> drawn;
  double sum = 0;
  while (drawn.size() < count && (counted || sum < total)) {
    drawn.push_back(sizes.draw(random));
    sum += drawn.back();
  }
  if (!counted && sum < total) table.fail("total_bytes", "expected what 10000000 files of these sizes hold, or less");
  const double scale = total > 0 ? total / sum : 1;
  std::vector<std::uint64_t> bytes;
  bytes.reserve(drawn.size());
  for (const double size : drawn) bytes.push_back(static_cast<std::uint64_t>(std::max(1.0, std::round(size * scale))));
  return bytes;
}

std::vector<double> zipf_by_rank(std::size_t count, double exponent) {
  std::vector<double> weights(count);
  for (std::size_t rank = 0; rank < count; ++rank) weights[rank] = std::pow(static_cast<double>(rank + 1), -exponent);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

// Which file has which rank of popularity. Small files lead for a bias of 1, large ones for -1; 0 is chance.
class Ranking {
 public:
  Ranking(const std::vector<std::uint64_t>& sizes_bytes, const std::vector<double>& zipf, Random& random)
      : sizes_bytes_(sizes_bytes), zipf_(zipf) {
    double sum = 0, squares = 0;
    for (const std::uint64_t size : sizes_bytes) {
      size_score_.push_back(std::log(static_cast<double>(size)));
      sum += size_score_.back();
      squares += size_score_.back() * size_score_.back();
    }
    const auto count = static_cast<double>(sizes_bytes.size());
    const double mean = sum / count;
    const double deviation = std::sqrt(std::max(squares / count - mean * mean, 1e-12));
    const Distribution noise = Distribution::uniform(0, std::sqrt(12.0));  // of deviation 1, as the other score
    for (double& score : size_score_) {
      score = (score - mean) / deviation;
      chance_.push_back(noise.draw(random));
    }
  }

  std::vector<std::uint32_t> order(double bias) const {
    std::vector<std::uint32_t> files(sizes_bytes_.size());
    std::iota(files.begin(), files.end(), 0u);
    const auto score = [&](std::uint32_t file) {
      return bias * size_score_[file] + (1 - std::abs(bias)) * chance_[file];
    };
    std::sort(files.begin(), files.end(),
              [&](std::uint32_t a, std::uint32_t b) { return std::pair(score(a), a) < std::pair(score(b), b); });
    return files;
  }

  double mean_transfer_bytes(const std::vector<std::uint32_t>& order) const {
    double mean = 0;
    for (std::size_t rank = 0; rank < order.size(); ++rank)
      mean += zipf_[rank] * static_cast<double>(sizes_bytes_[order[rank]]);
    return mean;
  }

  // The order whose mean transfer comes nearest to what is asked for, by bisection over the bias.
  std::vector<std::uint32_t> order_for(double mean_bytes, const TomlTable& table) const {
    const double least = std::round(mean_transfer_bytes(order(1))), most = std::round(mean_transfer_bytes(order(-1)));
    if (mean_bytes < least || mean_bytes > most) {
      table.fail("mean_transfer_bytes", "expected from " + std::to_string(std::llround(least)) + " to " +
                                            std::to_string(std::llround(most)) + " with these sizes");
    }
    double low = -1, high = 1;
    for (int step = 0; step < 24; ++step) {
      const double middle = (low + high) / 2;
      (mean_transfer_bytes(order(middle)) > mean_bytes ? low : high) = middle;
    }
    return order((low + high) / 2);
  }

 private:
  const std::vector<std::uint64_t>& sizes_bytes_;
  const std::vector<double>& zipf_;
  std::vector<double> size_score_;
  std::vector<double> chance_;
};

}  // namespace

void add_files(Workload& workload, const std::vector<std::uint64_t>& sizes_bytes,
               std::shared_ptr<const Popularity> popularity, const std::vector<std::string>& suffixes) {
  struct Group {
    std::uint32_t files = 0;
    double bytes = 0, share = 0;
    std::uint32_t index = 0;
  };
  std::vector<Group> groups(class_limit);
  for (std::uint32_t file = 0; file < sizes_bytes.size(); ++file) {
    Group& group = groups[class_of(sizes_bytes[file])];
    ++group.files;
    group.bytes += static_cast<double>(sizes_bytes[file]);
    group.share += popularity->share(file);
  }
  for (std::uint32_t number = 0; number < class_limit; ++number) {
    Group& group = groups[number];
    if (group.files == 0) continue;  // a class without files would look like one that was never served
    group.index = static_cast<std::uint32_t>(workload.classes.size());
    workload.classes.push_back(
        {class_name(number), static_cast<std::uint64_t>(std::llround(group.bytes / group.files)), group.share});
  }
  for (std::uint32_t file = 0; file < sizes_bytes.size(); ++file) {
    workload.files.add(fmt::format("/d{:05}/f{:07}", file / 100, file) + (suffixes.empty() ? "" : suffixes[file]),
                       sizes_bytes[file], groups[class_of(sizes_bytes[file])].index);
  }
  workload.popularity = std::move(popularity);
}

void build_synthetic(const TomlTable& table, Workload& workload) {
  Random random(static_cast<std::uint64_t>(table.integer("seed", {}, 1)));
  const std::vector<std::uint64_t> sizes_bytes = draw_sizes(table, random);
  const std::vector<double> zipf = zipf_by_rank(sizes_bytes.size(), table.number("zipf", {0, 5}, 1.0));
  const Ranking ranking(sizes_bytes, zipf, random);
  const std::vector<std::uint32_t> order =
      table.has("mean_transfer_bytes")
          ? ranking.order_for(static_cast<double>(table.bytes("mean_transfer_bytes", {1, std::int64_t{1} << 40})),
                              table)
          : ranking.order(0);
  std::vector<double> weights(order.size());
  for (std::size_t rank = 0; rank < order.size(); ++rank) weights[order[rank]] = zipf[rank];
  add_files(workload, sizes_bytes, Popularity::weighted(weights));
}

}  // namespace bakeoff
