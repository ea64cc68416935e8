#include "harness/load/mpi/mpi_ranks.h"

#include <mpi.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <thread>

#include "core/base/clock.h"

namespace bakeoff {
namespace {

enum Tag : int { gathered = 1, spread_out, ping, pong };

// More of them where processors are busy: the shortest one counts.
constexpr std::size_t least_round_trips = 50, most_round_trips = 500;
constexpr std::int64_t good_error_ns = 50'000;
constexpr std::int64_t no_more = -1;
// For a rank to come to a meeting: connections to a slow server may take as long to open as the client's own limit.
constexpr std::int64_t patience_ns = 150'000'000'000;
// For the first meeting, at which there is nothing to wait for but the network.
constexpr std::int64_t first_patience_ns = 20'000'000'000;

// Waits without taking the processor from the workers. False when the time is over.
bool wait_until(const std::function<bool()>& over, std::int64_t within_ns) {
  const std::int64_t until_ns = monotonic_ns() + within_ns;
  for (int turn = 0; !over(); ++turn) {
    if (monotonic_ns() > until_ns) return false;
    // An answer may be about to come, and clocks are compared by how soon; later it matters to nobody.
    if (turn > 1000) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

bool is_done(MPI_Request& request) {
  int done = 0;
  MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  return done != 0;
}

// A message of any length from a rank, once it has begun to arrive.
bool take(int rank, Tag tag, std::string& text) {
  int there = 0, length = 0;
  MPI_Message message;
  MPI_Status status;
  MPI_Improbe(rank, tag, MPI_COMM_WORLD, &there, &message, &status);
  if (there == 0) return false;
  MPI_Get_count(&status, MPI_CHAR, &length);
  text.resize(static_cast<std::size_t>(length));
  MPI_Mrecv(text.data(), length, MPI_CHAR, &message, MPI_STATUS_IGNORE);
  return true;
}

std::string own_host() {
  char name[HOST_NAME_MAX + 1] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

std::string ports() {
  const char* port = std::getenv("OMPI_MCA_btl_tcp_port_min_v4");
  const char* range = std::getenv("OMPI_MCA_btl_tcp_port_range_v4");
  if (port == nullptr || range == nullptr) return "any TCP port above 1024";
  return "TCP ports " + std::string(port) + " to " + std::to_string(std::atol(port) + std::atol(range) - 1);
}

std::string seconds(std::int64_t ns) { return std::to_string(ns / 1'000'000'000) + " s"; }

// The names that whoever started the ranks knows them by: until they have met, nobody else can say which is missing.
std::vector<std::string> expected_hosts(std::uint32_t count) {
  const char* given = std::getenv("BAKEOFF_RANK_HOSTS");
  std::istringstream names(given == nullptr ? "" : given);
  std::vector<std::string> hosts;
  for (std::string name; std::getline(names, name, ',');) hosts.push_back(name);
  hosts.resize(count, "a host not known yet");
  return hosts;
}

}  // namespace

MpiRanks::MpiRanks(int& argc, char**& argv) {
  int threads = 0, number = 0, count = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SINGLE, &threads);
  MPI_Comm_rank(MPI_COMM_WORLD, &number);
  MPI_Comm_size(MPI_COMM_WORLD, &count);
  number_ = static_cast<std::uint32_t>(number);
  hosts_ = expected_hosts(static_cast<std::uint32_t>(count));
}

void MpiRanks::meet() {
  std::vector<std::string> hosts = gather(own_host(), first_patience_ns);
  std::string line;
  for (const std::string& name : hosts) line += name + "\n";
  std::istringstream names(spread(line));
  for (std::string& name : hosts_) std::getline(names, name);
}

MpiRanks::~MpiRanks() { MPI_Finalize(); }

void MpiRanks::abandon(int status) {
  MPI_Abort(MPI_COMM_WORLD, status);
  std::_Exit(status);
}

void MpiRanks::pretend_clock(std::int64_t ahead_ns, std::int64_t later_ns) {
  ahead_ns_ = ahead_ns;
  later_ahead_ns_ = later_ns;
}

std::int64_t MpiRanks::now_ns() const { return monotonic_ns() + ahead_ns_; }

std::vector<std::string> MpiRanks::gather(const std::string& own, std::int64_t within_ns) {
  if (number_ != 0) {
    send(0, gathered, own);
    return {};
  }
  std::vector<std::string> all(count());
  std::vector<bool> had(count());
  all[0] = own;
  had[0] = true;
  const auto over = [&] {
    bool complete = true;
    for (std::uint32_t rank = 1; rank < count(); ++rank) {
      if (!had[rank]) had[rank] = take(static_cast<int>(rank), gathered, all[rank]);
      complete = complete && had[rank];
    }
    return complete;
  };
  if (wait_until(over, within_ns)) return all;
  // Whoever does not come is named, which MPI_Gather could not do.
  std::string missing;
  for (std::uint32_t rank = 1; rank < count(); ++rank)
    if (!had[rank]) missing += (missing.empty() ? "" : ", ") + name(rank);
  throw RankLost("nothing came from " + missing + " within " + seconds(within_ns) + ": it hangs, or a firewall drops " +
                 ports() + " between it and " + own_host());
}

std::vector<std::string> MpiRanks::gather(const std::string& own) { return gather(own, patience_ns); }

std::string MpiRanks::spread(const std::string& of_rank_0) {
  if (number_ == 0) {
    for (std::uint32_t rank = 1; rank < count(); ++rank) send(rank, spread_out, of_rank_0);
    return of_rank_0;
  }
  std::string text;
  if (!wait_until([&] { return take(0, spread_out, text); }, patience_ns))
    throw RankLost("nothing came from " + name(0) + " within " + seconds(patience_ns));
  return text;
}

std::vector<ClockOffset> MpiRanks::compare_clocks() {
  std::vector<ClockOffset> offsets(1);
  if (number_ != 0) {
    if (compared_) ahead_ns_ = later_ahead_ns_;
    compared_ = true;
    while (receive_number(0, ping) != no_more) send_number(0, pong, now_ns());
    return {};
  }
  for (std::uint32_t rank = 1; rank < count(); ++rank) {
    std::vector<RoundTrip> trips;
    while (trips.size() < least_round_trips ||
           (trips.size() < most_round_trips && clock_offset(trips).error_ns > good_error_ns)) {
      const std::int64_t sent_ns = now_ns();
      send_number(rank, ping, sent_ns);
      const std::int64_t there_ns = receive_number(rank, pong);
      trips.push_back({sent_ns, there_ns, now_ns()});
    }
    send_number(rank, ping, no_more);
    offsets.push_back(clock_offset(trips));
  }
  return offsets;
}

std::string MpiRanks::name(std::uint32_t rank) const { return host(rank) + " (rank " + std::to_string(rank) + ")"; }

void MpiRanks::send(std::uint32_t rank, int tag, const std::string& text) const {
  if (text.size() > static_cast<std::size_t>(INT_MAX))
    throw RankLost("the results of " + own_host() + " are larger than a message of MPI can be");
  MPI_Request sent;
  MPI_Isend(text.data(), static_cast<int>(text.size()), MPI_CHAR, static_cast<int>(rank), tag, MPI_COMM_WORLD, &sent);
  if (!wait_until([&] { return is_done(sent); }, patience_ns))
    throw RankLost(name(rank) + " took no message within " + seconds(patience_ns));
}

void MpiRanks::send_number(std::uint32_t rank, int tag, std::int64_t number) const {
  MPI_Request sent;
  MPI_Isend(&number, 1, MPI_INT64_T, static_cast<int>(rank), tag, MPI_COMM_WORLD, &sent);
  if (!wait_until([&] { return is_done(sent); }, patience_ns)) throw RankLost(name(rank) + " took no message");
}

std::int64_t MpiRanks::receive_number(std::uint32_t rank, int tag) const {
  std::int64_t number = 0;
  MPI_Request received;
  MPI_Irecv(&number, 1, MPI_INT64_T, static_cast<int>(rank), tag, MPI_COMM_WORLD, &received);
  if (!wait_until([&] { return is_done(received); }, patience_ns))
    throw RankLost("nothing came from " + name(rank) + " within " + seconds(patience_ns));
  return number;
}

}  // namespace bakeoff
