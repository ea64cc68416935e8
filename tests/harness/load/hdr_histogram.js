// Counts the numbers of a file, one a line, with HdrHistogram, and tells what it makes of them, and of a second file: a
// histogram log.
const hdr = require('hdr-histogram-js');
const histogram = hdr.build(
  {lowestDiscernibleValue: 1, highestTrackableValue: 2 ** 45, numberOfSignificantValueDigits: 3});
const lines = require('fs').readFileSync(process.argv[2], 'utf8').trim().split('\n');
for (const line of lines) histogram.recordValue(Number(line));
const shares = [0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100];
const percentilesOf = (one) => Object.fromEntries(shares.map((share) => [share, one.getValueAtPercentile(share)]));
const percentiles = percentilesOf(histogram);
const decoded = new hdr.HistogramLogReader(require('fs').readFileSync(process.argv[3], 'utf8')).nextIntervalHistogram();
console.log(JSON.stringify({
  count: histogram.totalCount, mean: histogram.mean, deviation: histogram.stdDeviation, max: histogram.maxValue,
  percentiles,
  decoded: {count: decoded.totalCount, mean: decoded.mean, max: decoded.maxValue, percentiles: percentilesOf(decoded)},
  hgrm: histogram.outputPercentileDistribution(5, 1e6),
}));
