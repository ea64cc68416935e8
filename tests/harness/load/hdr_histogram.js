// Counts the numbers of a file, one a line, with HdrHistogram, and tells what it makes of them.
const hdr = require('hdr-histogram-js');
const histogram = hdr.build({lowestDiscernibleValue: 1, highestTrackableValue: 2 ** 45, numberOfSignificantValueDigits: 3});
for (const line of require('fs').readFileSync(process.argv[2], 'utf8').trim().split('\n')) histogram.recordValue(Number(line));
const percentiles = {};
for (const share of [0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100]) percentiles[share] = histogram.getValueAtPercentile(share);
console.log(JSON.stringify({
  count: histogram.totalCount, mean: histogram.mean, deviation: histogram.stdDeviation, max: histogram.maxValue, percentiles,
  hgrm: histogram.outputPercentileDistribution(5, 1e6),
}));
