// Durations counted in logarithmic buckets, as HdrHistogram does. Every octave has 1024 equal buckets, so that a value
// of any size is known to within 0.1 %, and histograms of threads, processes and hosts add up exactly. Percentiles are
// taken after merging; averaged percentiles mean nothing.
#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bakeoff {

class Histogram {
 public:
  static constexpr unsigned sub_bucket_bits = 10;

  // Negative values count as 0.
  void record(std::int64_t value_ns) {
    const std::uint64_t value = value_ns < 0 ? 0 : static_cast<std::uint64_t>(value_ns);
    const std::size_t index = bucket_of(value);
    if (index >= counts_.size()) [[unlikely]]
      counts_.resize(index + index / 2 + 1);
    ++counts_[index];
    ++count_;
    sum_ns_ += value;
    if (value > max_ns_) max_ns_ = value;
  }
  void merge(const Histogram& other);

  std::uint64_t count() const { return count_; }
  std::uint64_t max_ns() const { return max_ns_; }
  double mean_ns() const;  // exact, not from the buckets; 0 when empty
  // The least bucket such that `share` (0 to 1) of the values are in it or below; its upper edge, at most max_ns().
  // 0 when empty.
  std::uint64_t percentile_ns(double share) const;

  // Sparse and mergeable: {"unit":"ns","sub_bucket_bits":10,"count","sum","max","buckets":[[index,count],...]}.
  nlohmann::ordered_json to_json() const;
  static Histogram from_json(const nlohmann::ordered_json& json);  // throws nlohmann's exceptions for anything else

  static std::size_t bucket_of(std::uint64_t value);
  static std::uint64_t bucket_low(std::size_t index);   // the least value of a bucket
  static std::uint64_t bucket_high(std::size_t index);  // the greatest

  // Calls visit(bucket_index, count) for each bucket that is not empty, in order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if (counts_[i] != 0) visit(i, counts_[i]);
  }

 private:
  std::vector<std::uint64_t> counts_;  // grows to what was met: most runs never need the upper octaves
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t max_ns_ = 0;
};

inline std::size_t Histogram::bucket_of(std::uint64_t value) {
  constexpr std::uint64_t linear = std::uint64_t{1} << sub_bucket_bits;
  if (value < linear) return value;
  const unsigned octave = 63u - static_cast<unsigned>(__builtin_clzll(value)) - sub_bucket_bits;  // 0 for [1024, 2048)
  return (static_cast<std::size_t>(octave) << sub_bucket_bits) + static_cast<std::size_t>(value >> octave);
}

}  // namespace bakeoff
