/** Lists in the order of a number that each item has, brought up to date. */

/** `old` with `changed` in place of those with the same number, in the order of their numbers. */
export function merged<T>(old: readonly T[], changed: readonly T[], number: (item: T) => number): T[] {
  const result = [...old];
  for (const item of changed) {
    let low = 0;
    let high = result.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (number(result[middle] as T) < number(item)) low = middle + 1;
      else high = middle;
    }
    const found = result[low];
    if (found !== undefined && number(found) === number(item)) result[low] = item;
    else result.splice(low, 0, item);
  }
  return result;
}
