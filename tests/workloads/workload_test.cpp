#include "workloads/workload.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/workloads/temp_dir.h"

using namespace bakeoff;

TEST_CASE("specweb99 has the benchmark's files") {
  const Workload workload = load_workload("specweb99", {"directories=3"});
  CHECK(workload.name == "specweb99");
  CHECK(workload.kind == "specweb99");
  CHECK(workload.files.size() == 3 * 36);
  CHECK(workload.classes.size() == 36);
  std::uint64_t directory_bytes = 0;
  for (std::uint32_t i = 0; i < 36; ++i) directory_bytes += workload.files[i].size_bytes;
  CHECK(directory_bytes == 5'119'488);
  CHECK(workload.files.total_bytes() == 3 * directory_bytes);
  CHECK(workload.files[0].path == "/dir00000/class0_0");
  CHECK(workload.files[0].size_bytes == 102);
  CHECK(workload.files[107].path == "/dir00002/class3_8");
  CHECK(workload.files[107].size_bytes == 921'600);
  for (const WorkloadFile& file : workload.files.files())
    CHECK(workload.classes[file.class_index].size_bytes == file.size_bytes);
}

TEST_CASE("the full-size set is the papers'") {
  const Workload workload = load_workload("specweb99", {"load_connections=1000"});
  CHECK(workload.files.size() == 24'480);
  CHECK(workload.files.total_bytes() == 3'481'251'840);
  CHECK(workload.mean_transfer_bytes() == Approx(14'727).margin(0.5));

  // Hottest first, 100 MiB serve 96.9 % of requests and 500 MiB 99.7 %.
  std::vector<std::uint32_t> order(workload.files.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto density = [&](std::uint32_t i) {
    return workload.popularity->share(i) / static_cast<double>(workload.files[i].size_bytes);
  };
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return density(a) > density(b); });
  double bytes = 0, share = 0, at_100 = 0, at_500 = 0;
  for (const std::uint32_t i : order) {
    bytes += static_cast<double>(workload.files[i].size_bytes);
    share += workload.popularity->share(i);
    if (bytes <= 100 * 0x1p20) at_100 = share;
    if (bytes <= 500 * 0x1p20) at_500 = share;
  }
  CHECK(at_100 == Approx(0.969).margin(0.0006));
  CHECK(at_500 == Approx(0.997).margin(0.0006));
}

TEST_CASE("the mean transfer does not depend on the number of directories") {
  for (const char* directories : {"directories=1", "directories=20", "directories=100"}) {
    CHECK(load_workload("specweb99", {directories}).mean_transfer_bytes() == Approx(14'727).margin(0.5));
  }
}

TEST_CASE("requests are drawn with the shares of the paper") {
  const Workload workload = load_workload("specweb99", {"directories=100"});
  constexpr int draws = 1'000'000;
  std::vector<int> by_file(9), by_class(4), by_directory(100);
  double bytes = 0;
  bool in_range = true;
  RequestSource source = workload.source(42, 0);
  for (int i = 0; i < draws; ++i) {
    const std::uint32_t file = source.next();
    in_range &= file < workload.files.size();
    ++by_file[file % 9];
    ++by_class[file % 36 / 9];
    ++by_directory[file / 36];
    bytes += static_cast<double>(workload.files[file].size_bytes);
  }
  CHECK(in_range);
  // One seed, hence one outcome; the margins are a few standard deviations of a million draws.
  CHECK(bytes / draws == Approx(14'727).epsilon(0.01));
  const double file_percent[] = {3.9, 5.9, 8.8, 17.7, 35.3, 11.8, 7.1, 5.0, 4.4};
  for (std::size_t f = 0; f < 9; ++f) CHECK(100.0 * by_file[f] / draws == Approx(file_percent[f]).margin(0.15));
  const double class_percent[] = {35, 50, 14, 1};
  for (std::size_t c = 0; c < 4; ++c) CHECK(100.0 * by_class[c] / draws == Approx(class_percent[c]).margin(0.15));
  double harmonic = 0;
  for (int d = 1; d <= 100; ++d) harmonic += 1.0 / d;
  for (const std::size_t d : {0u, 1u, 9u, 99u}) {
    CHECK(100.0 * by_directory[d] / draws == Approx(100.0 / (static_cast<double>(d) + 1) / harmonic).margin(0.15));
  }
  double shares = 0;
  for (const FileClass& kind : workload.classes) shares += kind.share;
  CHECK(shares == Approx(1));
}

TEST_CASE("a stream is repeated by its seed and differs from the others") {
  const Workload workload = load_workload("specweb99", {"directories=2"});
  const auto drawn = [&](std::uint64_t seed, std::uint64_t stream) {
    RequestSource source = workload.source(seed, stream);
    std::vector<std::uint32_t> files;
    for (int i = 0; i < 100; ++i) files.push_back(source.next());
    return files;
  };
  CHECK(drawn(1, 0) == drawn(1, 0));
  CHECK(drawn(1, 0) != drawn(1, 1));
  CHECK(drawn(1, 0) != drawn(2, 0));
  CHECK(drawn(1, 2) != drawn(2, 1));
}

TEST_CASE("weights are kept exactly by the alias table, zeros too") {
  const std::vector<double> weights = {0, 1, 0, 7, 2, 0};
  const auto popularity = Popularity::weighted(weights);
  Random random(3);
  std::vector<int> counts(weights.size());
  for (int i = 0; i < 1'000'000; ++i) ++counts[popularity->draw(random)];
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CHECK(popularity->share(static_cast<std::uint32_t>(i)) == Approx(weights[i] / 10));
    if (weights[i] == 0) {
      CHECK(counts[i] == 0);
    } else {
      CHECK(counts[i] / 1e6 == Approx(weights[i] / 10).margin(0.002));
    }
  }
}

TEST_CASE("an order is kept over all its sources") {
  const auto popularity = Popularity::in_order({2, 0, 0, 1}, 4);
  RequestSource a(*popularity, Random(1)), b(*popularity, Random(2));
  CHECK(a.next() == 2);
  CHECK(b.next() == 0);
  CHECK(b.next() == 0);
  CHECK(a.next() == 1);
  CHECK(b.next() == 2);  // and begins again
  CHECK(popularity->share(0) == Approx(0.5));
  CHECK(popularity->share(3) == 0);
}

TEST_CASE("single-file is one file of the size asked for") {
  CHECK(load_workload("single-file").files.total_bytes() == 1024);
  const Workload workload = load_workload("single-file", {"size_bytes=10KB"});
  CHECK(workload.files.size() == 1);
  CHECK(workload.files[0].path == "/file");
  CHECK(workload.mean_transfer_bytes() == 10'000);
  RequestSource source = workload.source(1, 1);
  CHECK(source.next() == 0);
}

TEST_CASE("every shipped workload is described, loads, and so does every step of its sweep") {
  const std::vector<WorkloadInfo> all = list_workloads();
  REQUIRE(all.size() >= 10);
  for (const WorkloadInfo& info : all) {
    INFO(info.name);
    CHECK_FALSE(info.description.empty());
    if (info.kind == "trace") continue;  // needs a log
    const Workload workload = load_workload(info.name);
    CHECK(workload.files.size() > 0);
    double share = 0;
    for (const FileClass& kind : workload.classes) share += kind.share;
    CHECK(share == Approx(1));
    for (const std::string& step : workload.sweep) {
      INFO(step);
      CHECK(load_workload(info.name, {step}).files.total_bytes() > 0);
    }
  }
}

TEST_CASE("a size sweep is the runs of the figure") {
  const Workload workload = load_workload("single-file");
  REQUIRE(workload.sweep.size() == 11);
  CHECK(workload.sweep[0] == "size_bytes=500");
  CHECK(load_workload("single-file", {workload.sweep[10]}).files.total_bytes() == 200'000);
}

TEST_CASE("what is wrong with a workload is said in a line") {
  CHECK_THROWS_WITH(load_workload("specweb9"),
                    Catch::Matchers::StartsWith("there is no workload `specweb9`; did you mean `specweb99`?"));
  CHECK_THROWS_WITH(load_workload("./none.toml"), "cannot read ./none.toml: No such file or directory");
  CHECK_THROWS_WITH(load_workload("specweb99", {"directories=0"}),
                    "directories=0: directories: expected an integer from 1 to 100000, got 0");
  CHECK_THROWS_WITH(load_workload("specweb99", {"directores=5"}),
                    "directores=5: unknown key `directores`; did you mean `directories`?");
}

TEST_CASE("a workload of one's own is a TOML file, with its clients") {
  const TempDir dir;
  const std::string name = dir.path() / "own.toml";
  std::ofstream(name)
      << "kind = \"single-file\"\nsize_bytes = 5\n[load]\nrequests_per_connection = 1\nreader_bytes_per_s = \"28KB\"\n"
         "inactive_off = \"3s\"\nactive_off = { distribution = \"weibull\", scale = 0.382, shape = 1.46 }\n";
  const Workload workload = load_workload(name);
  CHECK(workload.clients.requests_per_connection == 1u);
  CHECK(workload.clients.reader_bytes_per_s == 28'000u);
  CHECK(workload.clients.inactive_off_s->mean() == 3);
  CHECK(workload.clients.active_off_s->mean() == Approx(0.346).margin(0.001));
  CHECK_FALSE(workload.clients.receive_buffer_bytes);
  std::ofstream(name) << "kind = \"single-file\"\nsize_bytes = 5\n[load]\nthink = 1\n";
  CHECK_THROWS_WITH(load_workload(name), name + ":4:1: unknown key `think`");
}

TEST_CASE("in dynamic, the shares that are made up are as asked for, and no file of theirs is made") {
  const Workload workload = load_workload("dynamic", {"directories=2", "wait=7ms", "wait_share=0.2"});
  REQUIRE(workload.files.size() == 2 * 36 + 2);
  const auto wait = workload.files.find("/dynamic/burn-0us/wait-7ms/size-1000");
  const auto burn = workload.files.find("/dynamic/burn-200us/wait-0ms/size-1000");
  REQUIRE(wait);
  REQUIRE(burn);
  CHECK(workload.popularity->share(*wait) == Approx(0.2));
  CHECK(workload.popularity->share(*burn) == Approx(0.05));
  CHECK(workload.classes.back().share == Approx(0.2));
  CHECK_FALSE(workload.files[*wait].on_disk);
  CHECK(workload.files.has_synthetic());
  CHECK_FALSE(load_workload("specweb99", {"directories=2"}).files.has_synthetic());
  CHECK(workload.files.total_bytes() == 2 * 5'119'488);
  CHECK(load_workload("dynamic", {"directories=2"}).files.hash() == workload.files.hash());
  CHECK_THROWS_AS(load_workload("dynamic", {"wait_share=0.99"}), UsageError);
  CHECK_THROWS_AS(load_workload("dynamic", {"wait=2h"}), UsageError);
  CHECK_THROWS_AS(load_workload("dynamic", {"burn=0"}), UsageError);
}
