#include "harness/machine/topology.h"

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using Numbers = std::vector<int>;

namespace {

// A made-up /sys/devices/system/cpu.
class Tree {
 public:
  void add(int number, const std::string& threads_of_core, const std::string& sharing_cache, int node = 0,
           int package = 0) const {
    const std::string cpu = "cpu" + std::to_string(number) + "/";
    dir_.write(cpu + "topology/thread_siblings_list", threads_of_core + "\n");
    dir_.write(cpu + "topology/physical_package_id", std::to_string(package) + "\n");
    dir_.write(cpu + "node" + std::to_string(node) + "/cpulist", "");
    const std::string own = std::to_string(number) + "\n";
    cache(cpu + "cache/index0/", "1\n", "Data\n", own);
    cache(cpu + "cache/index1/", "1\n", "Instruction\n", own);
    cache(cpu + "cache/index2/", "3\n", "Unified\n", sharing_cache + "\n");
  }
  Topology read(const Numbers& processors) const { return read_topology(processors, dir_.path()); }
  const test::TempDir& dir() const { return dir_; }

 private:
  void cache(const std::string& at, const char* level, const char* type, const std::string& shared) const {
    dir_.write(at + "level", level);
    dir_.write(at + "type", type);
    dir_.write(at + "shared_cpu_list", shared);
  }
  test::TempDir dir_;
};

Specification asking(const std::string& resources, const std::string& load = "") {
  return parse_specification("[workload]\nname = \"single-file\"\n[load]\nconnections = 4\n" + load + "[resources]\n" +
                                 resources + "[[server]]\narchitecture = \"sped\"\n",
                             "exp.toml");
}

Numbers first(int count) {
  Numbers numbers;
  for (int number = 0; number < count; ++number) numbers.push_back(number);
  return numbers;
}

// That many cores without hardware threads under one cache.
Topology cores(int count) {
  const Tree tree;
  for (int number = 0; number < count; ++number)
    tree.add(number, std::to_string(number), "0-" + std::to_string(count - 1));
  return tree.read(first(count));
}

std::string error_of(const Specification& spec, const Topology& topology) {
  try {
    place(spec, topology);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a list of processors is read as the kernel writes it") {
  CHECK(parse_processor_list("0") == Numbers{0});
  CHECK(parse_processor_list("0-2,8,10-11") == Numbers{0, 1, 2, 8, 10, 11});
  for (const char* damaged : {"", "x", "3-1", "1-", "-1", "0,,1", "1-2-3", "0-99999999", "0x1"}) {
    CAPTURE(damaged);
    CHECK(parse_processor_list(damaged).empty());
  }
}

TEST_CASE("cores, caches, nodes and packages are those of the processors that may be used") {
  const Tree tree;
  tree.add(0, "0,4", "0-1,4-5", 0, 0);
  tree.add(1, "1,5", "0-1,4-5", 0, 0);
  tree.add(4, "0,4", "0-1,4-5", 0, 0);
  tree.add(6, "6", "6", 1, 1);
  const Topology topology = tree.read({0, 4, 6});
  REQUIRE(topology.processors.size() == 3);
  CHECK(topology.cores_known);
  CHECK(topology.processors[1].core == 0);
  CHECK(topology.processors[1].cache == 0);
  CHECK(topology.processors[2].core == 6);
  CHECK(topology.processors[2].cache == 6);
  CHECK(topology.processors[2].node == 1);
  CHECK(topology.processors[2].package == 1);
  CHECK(to_json(topology) ==
        nlohmann::json{{"processors", 3}, {"cores", 2}, {"last_level_caches", 2}, {"nodes", 2}, {"packages", 2}});
}

TEST_CASE("with three cores or more each of server, client and harness has one, and processor 0 is the harness's") {
  for (const int count : {3, 4, 16}) {
    const Placement placement = place(asking(""), cores(count));
    CHECK(placement.server_processors == Numbers{1});
    CHECK(placement.client_processors == Numbers{2});
    CHECK(placement.harness_processors == Numbers{0});
    CHECK(placement.occupied == Numbers{0, 1, 2});
    CHECK_FALSE(placement.server_shares_core);
    CHECK_FALSE(placement.client_shares_core);
    CHECK(placement.note ==
          "The server has processor 1, the client 2, the harness 0: no two of them share a core; server and client "
          "have one last-level cache.");
  }
}

TEST_CASE("with two processors the harness shares the client's") {
  const Placement placement = place(asking(""), cores(2));
  CHECK(placement.server_processors == Numbers{1});
  CHECK(placement.client_processors == Numbers{0});
  CHECK(placement.harness_processors == Numbers{0});
  CHECK_FALSE(placement.server_shares_core);
  CHECK(placement.client_shares_core);
  CHECK(placement.note ==
        "The server has processor 1, the client 0: the harness shares the client's, since there are only 2 cores; "
        "server and client have one last-level cache.");
}

TEST_CASE("two hardware threads of one core are no two cores") {
  const Tree tree;  // numbered as many machines do it: the threads of a core follow one another
  for (int number = 0; number < 8; ++number) {
    const int lower = number / 2 * 2;
    tree.add(number, std::to_string(lower) + "-" + std::to_string(lower + 1), "0-7");
  }
  Placement placement = place(asking(""), tree.read(first(8)));
  CHECK(placement.server_processors == Numbers{2});
  CHECK(placement.client_processors == Numbers{4});
  CHECK(placement.harness_processors == Numbers{0});
  CHECK(placement.occupied == Numbers{0, 1, 2, 3, 4, 5});
  // Two cores: the harness gets the other thread of the client's.
  placement = place(asking(""), tree.read(first(4)));
  CHECK(placement.server_processors == Numbers{2});
  CHECK(placement.client_processors == Numbers{0});
  CHECK(placement.harness_processors == Numbers{1});
  CHECK_FALSE(placement.server_shares_core);
  CHECK(placement.note.find("the harness runs on the client's core, on another of its hardware threads") !=
        std::string::npos);
  // One core: nothing else is left.
  placement = place(asking(""), tree.read(first(2)));
  CHECK(placement.server_processors == Numbers{0});
  CHECK(placement.client_processors == Numbers{1});
  CHECK(placement.harness_processors == Numbers{1});
  CHECK(placement.server_shares_core);
  CHECK(placement.note.find("server and client run on hardware threads of one core, which slow each other") !=
        std::string::npos);
  // Of two cores the server's two processors share one rather than that each side slows the other.
  placement = place(asking("server_processors = 2\n"), tree.read(first(4)));
  CHECK(placement.server_processors == Numbers{0, 1});
  CHECK(placement.client_processors == Numbers{2});
  CHECK(placement.harness_processors == Numbers{3});
  CHECK(placement.note.find("some of the server's are hardware threads of one core") != std::string::npos);
  // What this process may not use does not count.
  placement = place(asking(""), tree.read({1, 2, 3, 5}));
  CHECK(placement.server_processors == Numbers{2});
  CHECK(placement.client_processors == Numbers{5});
  CHECK(placement.harness_processors == Numbers{1});
}

TEST_CASE("server and client are near each other") {
  const Tree tree;  // two packages of two caches of two cores
  for (int number = 0; number < 8; ++number) {
    const int lower = number / 2 * 2;
    tree.add(number, std::to_string(number), std::to_string(lower) + "-" + std::to_string(lower + 1), number / 4,
             number / 4);
  }
  Placement placement = place(asking(""), tree.read(first(8)));
  CHECK(placement.server_processors == Numbers{2});
  CHECK(placement.client_processors == Numbers{3});
  CHECK(placement.harness_processors == Numbers{0});
  // Three do not find room under one cache, yet on one node.
  placement = place(asking("server_processors = 2\n"), tree.read(first(8)));
  CHECK(placement.server_processors == Numbers{1, 2});
  CHECK(placement.client_processors == Numbers{3});
  CHECK(placement.note.find("server and client have no last-level cache in common") != std::string::npos);
  placement = place(asking("server_processors = 5\n"), tree.read(first(8)));
  CHECK(placement.server_processors.size() == 5);
  CHECK(placement.client_processors.size() == 1);
  CHECK(placement.note.find("server and client are on different memory nodes") != std::string::npos);
  // Beside one that is named.
  placement = place(asking("server_processors = [5]\n"), tree.read(first(8)));
  CHECK(placement.client_processors == Numbers{4});
  placement = place(asking("client_processors = [6, 7]\n"), tree.read(first(8)));
  CHECK(placement.server_processors.size() == 1);
  CHECK(placement.server_processors[0] / 4 == 1);
}

TEST_CASE("the client has a processor for each of its threads, as far as there are cores") {
  CHECK(place(asking("", "threads = 2\n"), cores(8)).client_processors.size() == 2);
  CHECK(place(asking("", "threads = 16\n"), cores(8)).client_processors.size() == 6);
  CHECK(place(asking("", "threads = 16\n"), cores(2)).client_processors.size() == 1);
  const Placement placement = place(asking("server_processors = 3\nclient_processors = 4\n"), cores(8));
  CHECK(placement.server_processors == Numbers{1, 2, 3});
  CHECK(placement.client_processors == Numbers{4, 5, 6, 7});
  CHECK(placement.harness_processors == Numbers{0});
}

TEST_CASE("a run takes no processor beside those that its specification names for both sides") {
  const Placement placement = place(asking("server_processors = [0, 1]\nclient_processors = [1]\n"), cores(8));
  CHECK(placement.server_processors == Numbers{0, 1});
  CHECK(placement.harness_processors == Numbers{1});
  CHECK(placement.occupied == Numbers{0, 1});
  CHECK(placement.server_shares_core);
  CHECK(placement.note.starts_with(
      "The server has processors 0 and 1, the client 1: server and client share processor 1; the harness shares the "
      "client's;"));
}

TEST_CASE("one processor is shared by all, and nothing is pinned") {
  const Placement placement = place(asking("", "threads = 4\n"), cores(1));
  CHECK(placement.server_processors.empty());
  CHECK(placement.client_processors.empty());
  CHECK(placement.harness_processors.empty());
  CHECK(placement.occupied == Numbers{0});
  CHECK(placement.server_shares_core);
  CHECK(placement.note ==
        "There is one processor: server, client and harness take it from each other, and nothing is pinned.");
}

TEST_CASE("without what the kernel tells of cores each processor counts as one, and the sentence says so") {
  const test::TempDir nothing;
  const Topology topology = read_topology(first(4), nothing.path());
  CHECK_FALSE(topology.cores_known);
  const Placement placement = place(asking(""), topology);
  CHECK(placement.server_processors == Numbers{1});
  CHECK(placement.client_processors == Numbers{2});
  CHECK(placement.harness_processors == Numbers{0});
  CHECK(placement.note ==
        "The server has processor 1, the client 2, the harness 0: no two of them share a core; the kernel does not "
        "tell which processors are hardware threads of one core.");
  CHECK(to_json(topology).at("cores").is_null());
  // A damaged tree is no better than none.
  const Tree damaged;
  damaged.add(0, "7,9", "garbage");
  damaged.add(1, "", "0-");
  const Topology unknown = damaged.read({0, 1});
  CHECK_FALSE(unknown.cores_known);
  CHECK(unknown.processors[0].core == 0);
  CHECK(unknown.processors[0].cache == 0);  // of the first level, whose list can be read
}

TEST_CASE("what [resources] asks for and is not there is refused in one sentence") {
  CHECK(error_of(asking("server_processors = [5]\n"), cores(4)) ==
        "exp: resources: processor 5 is not there, or not for this process; there are 4");
  CHECK(error_of(asking("client_processors = [1, 1]\n"), cores(4)) == "exp: resources: processor 1 is named twice");
  CHECK(error_of(asking("server_processors = 4\n"), cores(4)) ==
        "exp: resources: server and client need 5 processors, and there are 4; ask for fewer, or name the processors "
        "of both where they may share some");
  CHECK(error_of(asking("server_processors = [0]\nclient_processors = 8\n"), cores(4))
            .starts_with("exp: resources: server and client need 9 processors"));
  CHECK_THROWS_WITH(asking("server_processors = 0\n"), Catch::Contains("exp.toml:6:21: server_processors: "));
}

TEST_CASE("this machine's processors can be placed") {
  const Placement placement = place(asking(""));
  CHECK(placement.note.ends_with("."));
  CHECK_FALSE(placement.occupied.empty());
}
