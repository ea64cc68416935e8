#include "results/histogram.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/base/untrusted.h"

namespace bakeoff {

namespace {
constexpr std::uint64_t sub_buckets = std::uint64_t{1} << Histogram::sub_bucket_bits;
// Of the largest 64-bit value.
constexpr std::size_t most_buckets =
    (std::size_t{64 - Histogram::sub_bucket_bits} << Histogram::sub_bucket_bits) + sub_buckets;
}  // namespace

std::uint64_t Histogram::bucket_low(std::size_t index) {
  if (index < sub_buckets) return index;
  const std::size_t octave = (index >> sub_bucket_bits) - 1;
  return ((index & (sub_buckets - 1)) + sub_buckets) << octave;
}

std::uint64_t Histogram::bucket_high(std::size_t index) { return bucket_low(index + 1) - 1; }

void Histogram::merge(const Histogram& other) {
  if (counts_.size() < other.counts_.size()) counts_.resize(other.counts_.size());
  for (std::size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

double Histogram::mean_ns() const {
  return count_ == 0 ? 0 : static_cast<double>(sum_ns_) / static_cast<double>(count_);
}

std::uint64_t Histogram::percentile_ns(double share) const {
  if (count_ == 0) return 0;
  const auto wanted =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= wanted) return std::min(bucket_high(i), max_ns_);
  }
  return max_ns_;
}

nlohmann::ordered_json Histogram::to_json() const {
  auto buckets = nlohmann::ordered_json::array();
  for_each([&](std::size_t index, std::uint64_t count) { buckets.push_back({index, count}); });
  return {{"unit", "ns"},    {"sub_bucket_bits", sub_bucket_bits},
          {"count", count_}, {"sum", sum_ns_},
          {"max", max_ns_},  {"buckets", buckets}};
}

Histogram Histogram::from_json(const nlohmann::ordered_json& json) {
  if (json.at("unit") != "ns" || json.at("sub_bucket_bits") != sub_bucket_bits)
    throw std::runtime_error("a histogram with other buckets cannot be merged");
  Histogram histogram;
  histogram.count_ = whole_number<std::uint64_t>(json.at("count"));
  histogram.sum_ns_ = whole_number<std::uint64_t>(json.at("sum"));
  histogram.max_ns_ = whole_number<std::uint64_t>(json.at("max"));
  for (const auto& bucket : json.at("buckets")) {
    const auto index = whole_number<std::size_t>(bucket.at(0));
    if (index >= most_buckets) throw std::runtime_error("a histogram's bucket lies outside its range");
    if (index >= histogram.counts_.size()) histogram.counts_.resize(index + 1);
    histogram.counts_[index] = whole_number<std::uint64_t>(bucket.at(1));
  }
  return histogram;
}

}  // namespace bakeoff
