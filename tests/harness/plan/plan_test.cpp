#include "harness/plan/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/errors.h"
#include "harness/plan/preset.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

Specification with(const std::string& servers) {
  return parse_specification("[workload]\nname = \"specweb99\"\n[load]\nconnections = [16, 64]\n" + servers,
                             "exp.toml");
}

std::vector<std::string> ids(const Specification& spec) {
  std::vector<std::string> all;
  for (const Cell& cell : plan_cells(spec, "specweb99")) all.push_back(cell.id);
  return all;
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("the matrix is servers by connections by workers") {
  CHECK(ids(with("[[server]]\narchitecture = \"sped\"\n[[server]]\narchitecture = \"symped\"\nworkers = [1, 4]\n")) ==
        Ids{"sped/connections=16/workers=1", "sped/connections=64/workers=1", "symped/connections=16/workers=1",
            "symped/connections=16/workers=4", "symped/connections=64/workers=1", "symped/connections=64/workers=4"});
}

TEST_CASE("workers and options may follow the connections") {
  const auto cells = plan_cells(with("[[server]]\narchitecture = \"mt\"\nworkers = [\"connections\", 16]\noptions = { "
                                     "connections = \"connections\" }\n"),
                                "w");
  REQUIRE(cells.size() == 3);  // 16 workers at 16 connections are the same cell twice
  CHECK(cells[0].workers == 16);
  CHECK(cells[1].workers == 64);
  CHECK(cells[1].options.at("connections") == "64");
  CHECK(cells[2].id == "mt/connections=64/workers=16");
}

TEST_CASE("a preset's words reach its server as they stand") {
  for (const Preset& preset : list_presets()) {
    INFO(preset.name);
    const auto cells = plan_cells(with("[[server]]\npreset = \"" + preset.name + "\"\n"), "w");
    REQUIRE(cells.size() == 2);
    for (const auto& [key, value] : preset.options) {
      if (key != "workers") CHECK(cells[0].options.at(key) == value);
    }
    // One that named no workers would have one in a run, and the architecture's own number by hand.
    const bool names_workers = std::any_of(preset.options.begin(), preset.options.end(),
                                           [](const auto& option) { return option.first == "workers"; });
    CHECK((names_workers || preset.architecture == "sped"));
  }
}

TEST_CASE("an option with several values is an axis, and its value part of the id") {
  const auto cells =
      plan_cells(with("[[server]]\narchitecture = \"sped\"\nconnections = 8\noptions = { poller = [\"poll\", "
                      "\"epoll\"], body = \"mmap\", send = [\"blocking\", \"nonblocking\"] }\n"),
                 "w");
  REQUIRE(cells.size() == 4);
  CHECK(cells[0].id == "sped/connections=8/workers=1/poller=poll/send=blocking");
  CHECK(cells[3].variant == "poller=epoll/send=nonblocking");
  CHECK(cells[3].options ==
        std::map<std::string, std::string>{{"body", "mmap"}, {"poller", "epoll"}, {"send", "nonblocking"}});
}

TEST_CASE("exclude cuts and include adds") {
  CHECK(ids(with(
            "[[server]]\narchitecture = \"sped\"\n[[server]]\narchitecture = \"mt\"\nworkers = \"connections\"\n"
            "[[exclude]]\nserver = \"mt\"\nconnections = 64\n[[include]]\nserver = \"sped\"\nconnections = 1024\n")) ==
        Ids{"sped/connections=16/workers=1", "sped/connections=64/workers=1", "sped/connections=1024/workers=1",
            "mt/connections=16/workers=16"});
  CHECK_THROWS_WITH(ids(with("[[server]]\narchitecture = \"sped\"\n[[exclude]]\n")),
                    "exp: no cell is left; `exclude` takes out all of them");
}

TEST_CASE("rates are an axis of the load, and keys of the workload with several values are, too") {
  const auto spec = [](const std::string& load, const std::string& rest = "") {
    return parse_specification(
        "[workload]\nname = \"single-file\"\nset = { size_bytes = [\"1KB\", 500] }\n[load]\nconnections = 16\n" + load +
            "[[server]]\narchitecture = \"sped\"\n" + rest,
        "exp.toml");
  };
  const auto cells = plan_cells(spec("rates = [500, 1000.5]\n"), "single-file");
  REQUIRE(cells.size() == 4);
  CHECK(cells[0].id == "sped/connections=16/workers=1/rate=500/size_bytes=1KB");
  CHECK(cells[3].id == "sped/connections=16/workers=1/rate=1000.5/size_bytes=500");
  CHECK(cells[3].rate == 1000.5);
  CHECK(cells[3].load_model == "open");
  CHECK(cells[3].workload_set == std::map<std::string, std::string>{{"size_bytes", "500"}});
  CHECK(contest_of(cells[3]) == "size_bytes=500/rate=1000.5");
  CHECK(ids(spec("rates = 500\n",
                 "[[exclude]]\nset = { size_bytes = \"1KB\" }\n[[include]]\nconnections = 8\nrates = 7\nset = { "
                 "size_bytes = 3 }\noptions = { poller = \"select\" }\n")) ==
        Ids{"sped/connections=16/workers=1/rate=500/size_bytes=500",
            "sped/connections=8/workers=1/rate=7/size_bytes=3/poller=select"});
  CHECK(plan_cells(spec("model = \"partly-open\"\nrates = 5\n"), "single-file")[0].load_model == "partly-open");
  CHECK_THROWS_WITH(spec("model = \"closed\"\nrates = 5\n"), Catch::Contains("rates: a closed loop has no rate"));
  CHECK_THROWS_WITH(spec("model = \"open\"\n"), Catch::Contains("rates: expected here or in [load]"));
  CHECK_THROWS_WITH(spec("rates = 0\n"), Catch::StartsWith("exp.toml:6:9: rates: "));
}

TEST_CASE("exclude looks at options and rates, too") {
  CHECK(ids(with("[[server]]\narchitecture = \"sped\"\nconnections = 8\noptions = { poller = [\"poll\", \"epoll\"] "
                 "}\n[[exclude]]\noptions = { poller = \"poll\" }\n")) ==
        Ids{"sped/connections=8/workers=1/poller=epoll"});
}

TEST_CASE("an enormous matrix is refused before it is made") {
  std::string values = "[0";
  for (int i = 1; i < 100; ++i) values += "," + std::to_string(i);
  values += "]";
  CHECK_THROWS_WITH(ids(with("[[server]]\narchitecture = \"sped\"\noptions = { a = " + values + ", b = " + values +
                             ", c = " + values + ", d = " + values + " }\n")),
                    Catch::Contains("the matrix has 200000000 cells, more than 100000; nothing was run"));
}

TEST_CASE("each block has every cell once, in an order of its own that the seed decides") {
  Ids cells;
  for (int i = 0; i < 8; ++i) cells.push_back("cell" + std::to_string(i));
  const auto order = interleave(cells, Phase::sweep, 50, 1);
  REQUIRE(order.size() == 400);
  std::set<Ids> orders;
  std::map<std::string, int> first;
  for (std::size_t block = 0; block < 50; ++block) {
    Ids in_block;
    for (std::size_t i = 0; i < 8; ++i) {
      CHECK(order[block * 8 + i].block == block);
      in_block.push_back(order[block * 8 + i].cell_id);
    }
    orders.insert(in_block);
    ++first[in_block[0]];
    std::sort(in_block.begin(), in_block.end());
    CHECK(in_block == cells);
  }
  CHECK(orders.size() == 50);
  CHECK(first.size() ==
        8);  // none is never the first: with 50 blocks that happens once in a hundred seeds, not with this one
  CHECK(interleave(cells, Phase::sweep, 50, 1) == order);
  CHECK(interleave(cells, Phase::sweep, 50, 2) != order);
  // Asking for fewer blocks, as a resumed run may, leaves the others as they were.
  const auto fewer = interleave(cells, Phase::sweep, 10, 1);
  CHECK(std::equal(fewer.begin(), fewer.end(), order.begin()));
}
