// bakeoff-slowdisk: a workload's files, seen through a disk that blocks.
#include <unistd.h>

#include <boost/program_options.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/standard_output.h"
#include "core/base/units.h"
#include "core/base/untrusted.h"
#include "core/base/version.h"
#include "core/trace/region.h"
#include "harness/slowdisk/file_system.h"
#include "harness/slowdisk/prefill.h"
#include "workloads/workload.h"

namespace po = boost::program_options;
using namespace bakeoff;

namespace {

nlohmann::json to_json(const SlowDiskStatistics& statistics, std::uint32_t arms) {
  const DiskStatistics& disk = statistics.disk;
  const auto mean_ms = [&](std::int64_t sum_ns) {
    return disk.requests == 0 ? nlohmann::json(nullptr)
                              : nlohmann::json(static_cast<double>(sum_ns) / static_cast<double>(disk.requests) / 1e6);
  };
  return {{"event", "statistics"},
          {"seconds", statistics.seconds},
          {"reads", disk.requests},
          {"read_bytes", disk.bytes},
          {"sequential_reads", disk.sequential},
          {"mean_wait_ms", mean_ms(disk.waited_ns)},
          {"mean_service_ms", mean_ms(disk.served_ns)},
          {"longest_queue", disk.longest_queue},
          {"utilisation", static_cast<double>(disk.served_ns) / 1e9 / statistics.seconds / arms},
          {"resident_bytes", statistics.resident_bytes},
          {"dropped_bytes", statistics.dropped_bytes}};
}

void say(const nlohmann::json& event) { write_to_standard_output(json_text(event) + "\n"); }

void run(int count, char** words) {
  std::string mountpoint, workload_name, disk = "scsi10k", cache = "0", readahead = "128K";
  std::vector<std::string> overrides, disk_overrides;
  std::uint32_t arms = 0;
  int trace_events = 0;
  std::uint64_t seed = 1;
  po::options_description options("Options");
  options.add_options()                                                                                          //
      ("help", "print this")                                                                                     //
      ("workload,w", po::value(&workload_name), "the files: a workload's name or TOML file")                     //
      ("set", po::value(&overrides), "key=value, for the workload; may be repeated")                             //
      ("disk", po::value(&disk)->default_value(disk), "scsi10k, ssd, constant, or a TOML file")                  //
      ("disk-set", po::value(&disk_overrides), "key=value, for the disk; may be repeated")                       //
      ("arms", po::value(&arms), "requests that the disk works on at once")                                      //
      ("cache", po::value(&cache)->default_value(cache), "what the kernel may keep in memory; 0: all it likes")  //
      ("readahead", po::value(&readahead)->default_value(readahead), "the most that the kernel reads ahead")     //
      ("prefill", "begin with the cache as full as it is after a long time of serving")                          //
      ("trace-events", po::value(&trace_events)->default_value(trace_events),
       "record what each arm serves, for bakeoff trace: so many events, the newest; 0: nothing")  //
      ("seed", po::value(&seed)->default_value(seed), "of the disk's random times and of what --prefill draws");
  po::options_description all;
  all.add(options).add_options()("mountpoint", po::value(&mountpoint));
  po::positional_options_description positions;
  positions.add("mountpoint", 1);
  po::variables_map given;
  try {
    po::store(po::command_line_parser(count, words).options(all).positional(positions).run(), given);
    po::notify(given);
  } catch (const po::error& error) {
    throw UsageError(std::string(error.what()) + "; see --help");
  }
  if (given.count("help") > 0) {
    std::ostringstream text;
    text
        << "Usage: bakeoff-slowdisk MOUNTPOINT --workload NAME [options]\nShows a workload's files at MOUNTPOINT, read "
           "from a disk that blocks, until SIGINT or SIGTERM.\n"
        << options;
    return write_to_standard_output(text.str());
  }
  if (mountpoint.empty()) throw UsageError("where to mount is missing; give a directory");
  if (workload_name.empty()) throw UsageError("which files to show is missing; give --workload NAME");
  if (given.count("arms") > 0) disk_overrides.push_back("arms=" + std::to_string(arms));

  const Workload workload = load_workload(workload_name, overrides);
  SlowDiskOptions slow;
  slow.mountpoint = mountpoint;
  slow.disk = load_disk(disk, disk_overrides);
  slow.seed = seed;
  if (trace_events < 0 || trace_events > TraceRegion::most_events)
    throw UsageError("--trace-events must be from 0 to " + std::to_string(TraceRegion::most_events));
  slow.trace_events = trace_events;
  slow.cache_bytes = parse_size_bytes(cache);
  const std::uint64_t readahead_bytes = parse_size_bytes(readahead);
  if (readahead_bytes > (1u << 30))
    throw UsageError("--readahead " + readahead + " is too much; the kernel takes at most a few MiB");
  slow.readahead_bytes = static_cast<std::uint32_t>(readahead_bytes);

  if (given.count("prefill") > 0) slow.prefill = files_in_memory(workload, slow.cache_bytes, seed);

  SlowDiskFileSystem file_system(workload.files, slow);
  const SlowDiskStatistics statistics = file_system.run([&] {
    say(nlohmann::json{{"event", "ready"},
                       {"server", "bakeoff-slowdisk"},
                       {"pid", ::getpid()},
                       {"root", std::filesystem::absolute(mountpoint).string()},
                       {"workload", workload.name},
                       {"files", workload.files.size()},
                       {"bytes", workload.files.total_bytes()},
                       {"disk", disk},
                       {"arms", slow.disk.arms},
                       {"mean_access_ms", (slow.disk.seek_s.mean() + slow.disk.rotation_s.mean()) * 1e3},
                       {"rate_bytes_per_s", slow.disk.rate_bytes_per_s},
                       {"cache_bytes", slow.cache_bytes},
                       {"prefilled_files", slow.prefill.size()}});
  });
  say(to_json(statistics, slow.disk.arms));
}

}  // namespace

int main(int count, char** words) {
  make_new_throw_out_of_memory();
  try {
    if (answered_version(count, words, "bakeoff-slowdisk")) return 0;
    run(count, words);
    return 0;
  } catch (const UsageError& error) {
    std::cerr << "bakeoff-slowdisk: " << visible(error.what(), "\n\t") << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "bakeoff-slowdisk: " << visible(error.what(), "\n\t") << "\n";
    return 4;
  }
}
