// Ranks over MPI. No message passes while the load runs: the library's threads and its polling would be part of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/load/ranks.h"

namespace bakeoff {

class MpiRanks : public Ranks {
 public:
  // BLOCKS: network.
  MpiRanks(int& argc, char**& argv);
  ~MpiRanks() override;  // leaves in order; REQUIRES: all of them do
  MpiRanks(const MpiRanks&) = delete;
  MpiRanks& operator=(const MpiRanks&) = delete;
  // Ends all ranks at once, and this process. For whoever cannot go on and cannot tell the others.
  [[noreturn]] void abandon(int status);

  // The first meeting, from which all know the names of all hosts. BLOCKS: network.
  void meet();

  // Until clocks are compared for the second time, and then. For tests: how the run takes clocks that differ, and one
  // that steps.
  void pretend_clock(std::int64_t ahead_ns, std::int64_t later_ns);

  std::uint32_t number() const override { return number_; }
  std::uint32_t count() const override { return static_cast<std::uint32_t>(hosts_.size()); }
  const std::string& host(std::uint32_t rank) const override { return hosts_[rank]; }
  std::vector<std::string> gather(const std::string& own) override;
  std::string spread(const std::string& of_rank_0) override;
  std::vector<ClockOffset> compare_clocks() override;
  std::int64_t now_ns() const override;

 private:
  std::vector<std::string> gather(const std::string& own, std::int64_t within_ns);
  std::string name(std::uint32_t rank) const;
  void send(std::uint32_t rank, int tag, const std::string& text) const;
  void send_number(std::uint32_t rank, int tag, std::int64_t number) const;
  std::int64_t receive_number(std::uint32_t rank, int tag) const;

  std::uint32_t number_ = 0;
  std::vector<std::string> hosts_;
  std::int64_t ahead_ns_ = 0;
  std::int64_t later_ahead_ns_ = 0;
  bool compared_ = false;
};

}  // namespace bakeoff
